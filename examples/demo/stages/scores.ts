/** Stages 3 and 5: people never seen in training, before and after it, by the same questions. */
import { existsSync } from 'node:fs';
import { cp } from 'node:fs/promises';

import { evaluate } from 'facellm';

import { ATTRIBUTES, type Demo, GROUPS, PROMPT } from '../demo.js';
import { Interrupted } from '../interruption.js';
import { FACES } from '../portraits.js';
import type { Stage } from '../stage-cache.js';
import { MODEL_FOLDER } from './model.js';
import { RUN_FOLDER } from './training.js';

export interface ScoreResult {
  /** Put to each model. */
  readonly questions: number;
}

export const BEFORE_FOLDER = 'scores-before';
export const SCORES_FOLDER = 'scores';

export const ASKING = {
  attributes: ATTRIBUTES,
  groups: GROUPS,
  prompt: PROMPT,
  // Answers have a few tokens; an untrained model would go on to the limit.
  maxNewTokens: 12,
  batchSize: 16,
} as const;

async function score(demo: Demo, output: string, tuned: string | undefined): Promise<ScoreResult> {
  const { screen, interruption, cache, options, labels } = demo;
  const run = evaluate({
    ...{ benchmark: 'attributes', data: FACES, labels, split: 'test', ...ASKING },
    ...{ model: cache.path(MODEL_FOLDER), tuned, output, device: 'cpu' },
    ...{ threads: options.threads, onFailure: 'stop' },
    rank: { rank: 0, worldSize: 1 },
  });
  const result = await interruption.during(run, async () => {
    for await (const event of run) {
      if (event.type !== 'batch' && event.type !== 'start') continue;
      // The base's answers are there already when both are asked.
      if (tuned !== undefined && event.model === 'base') continue;
      screen.progress(event.done, event.total, 'questions');
    }
  });
  if (result.summary === undefined) throw new Interrupted('interrupted');
  return { questions: result.questions };
}

export function beforeStage(demo: Demo): Stage<ScoreResult> {
  return {
    name: 'before',
    inputs: ASKING,
    outputs: [BEFORE_FOLDER],
    run: () => score(demo, demo.cache.path(BEFORE_FOLDER), undefined),
  };
}

/** Base beside tuned; the base's answers are taken over from before. */
export function afterStage(demo: Demo): Stage<ScoreResult> {
  const { cache } = demo;
  const output = cache.path(SCORES_FOLDER);
  return {
    name: 'after',
    inputs: ASKING,
    outputs: [SCORES_FOLDER],
    run: async () => {
      if (!existsSync(output)) {
        await cp(cache.path(BEFORE_FOLDER), output, { recursive: true });
      }
      return score(demo, output, cache.path(RUN_FOLDER));
    },
  };
}
