/** run.json, the resolved configuration beside a run: recipe, data and what the run follows from. */
import { join } from 'node:path';

import { writeFileAtomic } from '../files/index.js';
import type { TrainingRecipe } from './recipe.js';
import { fingerprintOf } from './run-inputs.js';
import type { TrainingSetup } from './setup.js';
import type { TrainOptions } from './train-options.js';

/** @throws TrainingError FACELLM_RUN_WRITE */
export async function writeRunDescription(
  { output, model, data, dataset, imageRoot, adapter }: TrainOptions,
  recipe: TrainingRecipe,
  setup: TrainingSetup,
  totalSteps: number,
): Promise<void> {
  const { sha256, file } = setup.dataset;
  const description = {
    recipe,
    ...{ model, data, dataset, imageRoot, adapter },
    dataFile: file,
    dataSha256: sha256,
    fingerprint: fingerprintOf(setup.inputs),
    totalSteps,
    modules: setup.modules,
  };
  await writeFileAtomic(join(output, 'run.json'), `${JSON.stringify(description, null, 2)}\n`);
}
