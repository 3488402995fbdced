/** The card beside a run's result: data, recipe, hashes and what was held out, as the run knows them. */
import { basename, dirname, join } from 'node:path';

import { type CardFacts, type CardTraining, readCardFacts, writeCard } from '../card/index.js';
import { createError, FaceLlmError } from '../errors.js';
import { readJournal, sampledWeightsHash, sha256OfFile } from '../files/index.js';
import { readCheckpointFiles } from '../checkpoint/index.js';
import { ADAPTER_WEIGHTS } from '../lora/index.js';
import { baseFacts, statedLicense } from '../model/index.js';
import type { TrainerState } from './checkpoint-folder.js';
import type { ResultCard } from './events.js';
import type { TrainingRecipe } from './recipe.js';
import { TRAINER_LOG_NAME } from './run/trainer-log.js';
import { fingerprintOf } from './run-inputs.js';
import type { TrainingSetup } from './setup.js';
import type { TrainOptions } from './train-options.js';
import type { ValidationGroup } from './validation/figures.js';

/** Paths say nothing to others, and too much of whose machine it was. */
function recipeForOthers(recipe: TrainingRecipe): CardTraining['recipe'] {
  const { validation, ...rest } = recipe;
  const isOwnData = validation !== null && 'data' in validation;
  return { ...rest, validation: isOwnData ? { data: basename(validation.data) } : validation };
}

const numberOf = (value: unknown): number | undefined =>
  typeof value === 'number' ? value : undefined;

/** Figures of the weights that were kept, as the run's log has them. */
async function validationOf(
  output: string,
  { step: last, validation: { best } }: TrainerState,
  { validation: set }: TrainingSetup,
  { bestMetric }: TrainingRecipe,
): Promise<CardTraining['validation']> {
  if (set === undefined) return undefined;
  const step = best?.step ?? last;
  let line: Readonly<Record<string, unknown>> = {};
  await readJournal(join(output, TRAINER_LOG_NAME), (entry) => {
    if (entry['current_steps'] === step && 'eval_is_best' in entry) line = entry;
  });
  const { eval_groups: groups = [] } = line as { eval_groups?: readonly ValidationGroup[] };
  const figures = {
    loss: numberOf(line['eval_loss']),
    accuracy: numberOf(line['eval_accuracy']),
    balancedAccuracy: numberOf(line['eval_balanced_accuracy']),
  };
  return {
    ...{ samples: set.size, metric: bestMetric, step, ...figures },
    groups: groups.map(({ fact, value, samples, loss, accuracy }) => ({
      ...{ fact, value, samples, loss },
      ...(accuracy === undefined ? {} : { accuracy }),
    })),
  };
}

async function weightsOf(
  output: string,
  { lora }: TrainingRecipe,
): Promise<Pick<CardFacts, 'files' | 'weights'>> {
  if (lora === null) {
    const { dataFiles } = await readCheckpointFiles(output);
    return { files: [], weights: await sampledWeightsHash(dataFiles) };
  }
  const path = join(output, ADAPTER_WEIGHTS);
  const failure = (cause: unknown): Error =>
    createError('FACELLM_RUN_WRITE', `${path} cannot be read; it was there a moment ago`, {
      cause,
    });
  return { files: [{ name: ADAPTER_WEIGHTS, sha256: await sha256OfFile(path, failure) }] };
}

/**
 * Writes the card of weights that lie at the top of a run's folder. What the user has said of their licence stays, what was measured
 * on older weights goes.
 *
 * @throws TrainingError FACELLM_RUN_WRITE
 */
export async function writeResultCard(
  { model, output, adapter }: TrainOptions,
  recipe: TrainingRecipe,
  setup: TrainingSetup,
  state: TrainerState,
): Promise<ResultCard> {
  const { dataset, samples, directory, inputs } = setup;
  const license = await statedLicense(dirname(dataset.file));
  const validation = await validationOf(output, state, setup, recipe);
  const training: CardTraining = {
    recipe: recipeForOthers(recipe),
    data: {
      name: basename(dataset.file),
      sha256: dataset.sha256,
      records: dataset.records.length,
      ...(license === undefined ? {} : { license }),
    },
    fingerprint: fingerprintOf(inputs),
    ...{ steps: state.step, totalSteps: state.totalSteps, trainSamples: samples.samples.length },
    ...(validation === undefined ? {} : { validation }),
  };
  const unread: string[] = [];
  const factsIn = (folder: string): Promise<CardFacts | undefined> =>
    readCardFacts(folder).catch((error: unknown) => {
      if (!(error instanceof FaceLlmError)) throw error;
      unread.push(error.message);
      return undefined;
    });
  const base = await baseFacts(model, directory);
  const before = await factsIn(output);
  const ofAdapter = adapter === undefined ? undefined : await factsIn(adapter);
  const earlier = ofAdapter ?? (await factsIn(directory));
  const written = await writeCard(output, {
    kind: recipe.lora === null ? 'model' : 'adapter',
    ...(before?.license === undefined ? {} : { license: before.license }),
    ...{ base, merged: [], ...(await weightsOf(output, recipe)), dtype: recipe.dtype },
    trainings: [...(earlier?.trainings ?? []), training],
  });
  return { ...written, unread };
}
