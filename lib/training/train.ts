/** Training from beginning to end: the folder taken, everything checked before weights are read, then the updates. */
import { mkdir } from 'node:fs/promises';

import { loadAddon } from '../binding/load.js';
import { type Job, joinJob, readJobEnvironment, threadsOfRank } from '../distributed/index.js';
import { createError } from '../errors.js';
import { lockFolder } from '../files/index.js';
import { JobRun } from '../jobs/index.js';
import { checkFields } from '../options/index.js';
import type { TrainingResult } from './events.js';
import { checkRecipe } from './check-recipe.js';
import type { TrainingRecipe } from './recipe.js';
import { openSetup } from './setup.js';
import { type TrainOptions, trainOptions } from './train-options.js';
import { TrainingLoop } from './training-loop.js';
import { beforeFirstUpdate, type TrainingRun } from './training-run.js';

/**
 * Starts a run. Await it for its result, iterate over it for its events.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT for wrong options or a wrong recipe. The run itself rejects with
 *   DataError, CheckpointError, DeviceError or TrainingError.
 */
export function train(options: TrainOptions): TrainingRun {
  const checked = checkFields(trainOptions, options, 'the training options are wrong');
  const recipe = checkRecipe(checked.recipe);
  return new JobRun((run) => trainAll(checked, recipe, run));
}

async function trainAll(
  options: TrainOptions,
  recipe: TrainingRecipe,
  run: TrainingRun,
): Promise<TrainingResult> {
  const { device, signal } = options;
  signal?.throwIfAborted();
  const environment = options.job ?? readJobEnvironment(process.env);
  const threads = threadsOfRank(options.threads, environment, process.env);
  await using job = await joinJob({ addon: loadAddon(), environment, device, signal });
  try {
    return await trainAsRank({ ...options, threads }, recipe, run, job);
  } catch (error) {
    const isAborted = signal?.aborted === true;
    job.fail(isAborted ? createError('FACELLM_CANCELLED', 'it was told to stop at once') : error);
    throw error;
  }
}

async function trainAsRank(
  options: TrainOptions,
  recipe: TrainingRecipe,
  run: TrainingRun,
  job: Job,
): Promise<TrainingResult> {
  const { output, signal } = options;
  const unlock = job.isLeader ? await takeFolder(output) : undefined;
  try {
    await using setup = await beforeFirstUpdate(run, signal, job.size, (until) =>
      openSetup(options, recipe, (event) => run.emit(event), until, job),
    );
    return await new TrainingLoop(options, recipe, run, setup, job).run();
  } finally {
    await unlock?.();
  }
}

async function takeFolder(output: string): Promise<() => Promise<void>> {
  await mkdir(output, { recursive: true }).catch((cause: unknown) => {
    throw createError('FACELLM_RUN_WRITE', `${output} cannot be made; check the path`, { cause });
  });
  return lockFolder(output);
}
