/** One update: its micro-batches forward and backward, then the optimizer. */
import type { NativeJob, NativeTrainer, NativeTrainSample } from '../binding/native.js';
import { fromNative } from '../errors.js';
import type { UpdatePlan } from './order.js';
import type { TrainingRecipe } from './recipe.js';
import type { SampleSet } from './sample-set.js';
import { learningRateAt } from './schedule.js';

export interface UpdateOutcome {
  readonly loss: number;
  readonly gradNorm: number;
  readonly learningRate: number;
  readonly samples: number;
  readonly tokens: number;
  readonly peakBytes: number;
}

/** Samples of every micro-batch, ready for the engine. */
export type LoadedUpdate = readonly (readonly NativeTrainSample[])[];

/** Micro-batches of one update are told apart by their dropout masks; more than this many would repeat them. */
const DRAWS_PER_UPDATE = 65_536;

/** What each micro-batch's sum of losses is divided by (spec internvl3.md, section 11.2). */
export function denominatorsOf(
  learntTokens: readonly number[],
  normalisation: TrainingRecipe['lossNormalisation'],
): number[] {
  const whole = learntTokens.reduce((sum, count) => sum + count, 0);
  return learntTokens.map((count) =>
    normalisation === 'window' ? whole : count * learntTokens.length,
  );
}

export async function runUpdate(
  trainer: NativeTrainer,
  plan: UpdatePlan,
  loaded: LoadedUpdate,
  samples: SampleSet,
  totalSteps: number,
  recipe: TrainingRecipe,
  signal: AbortSignal | undefined,
): Promise<UpdateOutcome> {
  const learnt = plan.microBatches.map((batch) => samples.learntTokens(batch));
  const denominators = denominatorsOf(learnt, recipe.lossNormalisation);
  const learningRate = learningRateAt(plan.update, totalSteps, recipe);
  let loss = 0;
  let tokens = 0;
  try {
    for (const [k, batch] of loaded.entries()) {
      const job = trainer.accumulate({
        samples: batch,
        denominator: denominators[k] ?? 1,
        draw: plan.update * DRAWS_PER_UPDATE + k,
        isLast: k === loaded.length - 1,
      });
      const result = await cancellable(job, signal);
      loss += result.loss;
      tokens += result.tokens;
    }
    const { gradNorm, peakBytes } = await trainer.update({
      learningRate,
      maxGradNorm: recipe.maxGradNorm,
    }).promise;
    const count = loaded.reduce((sum, batch) => sum + batch.length, 0);
    return { loss, gradNorm, learningRate, samples: count, tokens, peakBytes };
  } catch (error) {
    signal?.throwIfAborted();
    throw fromNative(error);
  }
}

async function cancellable<T>(job: NativeJob<T>, signal: AbortSignal | undefined): Promise<T> {
  const cancel = (): void => job.cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  try {
    return await job.promise;
  } finally {
    signal?.removeEventListener('abort', cancel);
  }
}
