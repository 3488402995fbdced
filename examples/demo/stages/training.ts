/** Stage 4: the recipe `nano` over the data; it goes on from its last checkpoint. */
import { nano, train, type TrainingRecipe } from 'facellm';

import { CHIPS, type Demo } from '../demo.js';
import { Interrupted } from '../interruption.js';
import type { Stage } from '../stage-cache.js';
import { DATA_FOLDER } from './data.js';
import { MODEL_FOLDER } from './model.js';

export interface TrainingStageResult {
  readonly steps: number;
}

export const RUN_FOLDER = 'run';

/** Of a smoke test: enough for the path, not for the model. */
const QUICK = { maxSteps: 12, saveEvery: 4, evaluateEvery: 6 } as const;
/** A tenth of the people is never learnt from; after every two passes or so they are asked. Too few to choose by (docs/demo.md). */
const VALIDATION = {
  validation: { share: 0.1, by: 'person' },
  ...{ evaluateEvery: 100, bestMetric: 'last' },
} as const;
/** Weight of the past in the loss that is shown. */
const SMOOTHING = 0.9;

/** What differs from the recipe `nano`. */
export function recipeChanges({ options }: Pick<Demo, 'options'>): Partial<TrainingRecipe> {
  const { seed, isFullRun, isQuick } = options;
  const { evaluateEvery, ...quick } = QUICK;
  return {
    ...{ seed, epochs: 60, faces: CHIPS, sharesPrefix: true },
    ...(isFullRun ? {} : VALIDATION),
    ...(isQuick ? { ...quick, ...(isFullRun ? {} : { evaluateEvery }) } : {}),
  };
}

async function teach(demo: Demo, recipe: TrainingRecipe): Promise<TrainingStageResult> {
  const { screen, cache, interruption, options } = demo;
  const run = train({
    recipe,
    model: cache.path(MODEL_FOLDER),
    data: cache.path(DATA_FOLDER),
    output: cache.path(RUN_FOLDER),
    device: 'cpu',
    threads: options.threads,
  });
  let shown: number | undefined;
  const result = await interruption.during(run, async () => {
    for await (const event of run) {
      if (event.type === 'start') {
        const { resumedStep, totalSteps } = event;
        if (resumedStep > 0) screen.say(`Goes on after update ${resumedStep} of ${totalSteps}.`);
        // The clock starts here: the first update already tells the time left.
        screen.progress(resumedStep, totalSteps, 'updates');
      }
      if (event.type === 'validation') {
        const { accuracy = 0, worstGroup } = event;
        const worst = worstGroup === undefined ? '' : `, worst ${worstGroup.fact} ${worstGroup.value} ${(worstGroup.accuracy ?? 0).toFixed(2)}`; // prettier-ignore
        screen.say(`Held-out people after update ${event.step}: ${accuracy.toFixed(2)} right${worst}.`); // prettier-ignore
      }
      if (event.type !== 'step') continue;
      const { step, totalSteps, loss } = event;
      shown = shown === undefined ? loss : SMOOTHING * shown + (1 - SMOOTHING) * loss;
      screen.progress(step, totalSteps, `updates   loss ${shown.toFixed(3)}`);
    }
  });
  if (!result.isComplete) throw new Interrupted('interrupted');
  return { steps: result.steps };
}

export function trainingStage(demo: Demo): Stage<TrainingStageResult> {
  const recipe = { ...nano(), ...recipeChanges(demo) };
  return {
    name: 'training',
    inputs: recipe,
    outputs: [RUN_FOLDER],
    run: () => teach(demo, recipe),
  };
}
