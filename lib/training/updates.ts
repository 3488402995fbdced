/** One update: this rank's part of its micro-batches forward and backward, then the optimizer. */
import type { NativeMicroBatch, NativeTrainer } from '../binding/native.js';
import { settle } from '../binding/settle.js';
import type { Job } from '../distributed/index.js';
import { fromNative } from '../errors.js';
import { shareOf, type UpdatePlan } from './order.js';
import { type Place, planOfRank } from './rank.js';
import type { TrainingRecipe } from './recipe.js';
import type { LoadedRecord, SampleSet } from './sample-set.js';
import { learningRateAt } from './schedule.js';

export interface UpdateOutcome {
  readonly loss: number;
  readonly gradNorm: number;
  readonly learningRate: number;
  readonly samples: number;
  readonly tokens: number;
  /** Of these; fewer where samples share what they begin with. */
  readonly computedTokens: number;
  readonly peakBytes: number;
  /** Whether any rank was asked to end the run after this update. */
  readonly isStopping: boolean;
}

/** Whether a sample takes part; others were set aside. */
export type IsUsed = (index: number) => boolean;

/** Records of every micro-batch, ready for the engine. */
export type LoadedUpdate = readonly (readonly LoadedRecord[])[];

/** Micro-batches of one update are told apart by their dropout masks; more than this many would repeat them. */
const DRAWS_PER_UPDATE = 65_536;

/** What each micro-batch's sum of losses is divided by (docs/internvl3.md, section 11.2). */
export function denominatorsOf(
  learntTokens: readonly number[],
  normalisation: TrainingRecipe['lossNormalisation'],
): number[] {
  const whole = learntTokens.reduce((sum, count) => sum + count, 0);
  return learntTokens.map((count) =>
    normalisation === 'window' ? whole : count * learntTokens.length,
  );
}

/**
 * What the sum of this rank's losses in each micro-batch is divided by, so that sums over ranks are the loss and
 * the gradient. `window`: the learnt tokens of the whole update on all ranks, whatever their number. `micro-batch`:
 * the mean of each rank's own share counts alike, as under torch's DistributedDataParallel.
 */
export function denominatorsOfRank(
  plan: UpdatePlan,
  samples: Pick<SampleSet, 'learntTokens'>,
  normalisation: TrainingRecipe['lossNormalisation'],
  place: Place,
  isUsed: IsUsed = () => true,
): number[] {
  const learntIn = (batch: readonly number[]): number => samples.learntTokens(batch.filter(isUsed));
  if (normalisation === 'window') {
    // Without any sample there is no mean; the number is not used.
    const means = denominatorsOf(plan.microBatches.map(learntIn), normalisation);
    return means.map((mean) => (mean === 0 ? 1 : mean));
  }
  const own = planOfRank(plan, place).microBatches;
  const means = denominatorsOf(own.map(learntIn), normalisation);
  return plan.microBatches.map((batch, k) => {
    const shares = Array.from({ length: place.size }, (_, r) => shareOf(batch, r, place.size));
    const ranksWithSamples = shares.filter((share) => share.some(isUsed)).length;
    const denominator = (means[k] ?? 0) * ranksWithSamples;
    // An empty share has no mean; the number is not used.
    return denominator > 0 ? denominator : 1;
  });
}

/** The records' answers one behind another, and which of them belong together. */
function samplesOf(
  records: readonly LoadedRecord[],
): Pick<NativeMicroBatch, 'samples' | 'answerSets'> {
  let first = 0;
  const answerSets = records.flatMap(({ samples, answers }) => {
    const place = first;
    first += samples.length;
    return answers === undefined ? [] : [{ ...answers, first: place }];
  });
  return { samples: records.flatMap(({ samples }) => samples), answerSets };
}

export interface UpdateInput {
  readonly trainer: NativeTrainer;
  /** Of all ranks. */
  readonly plan: UpdatePlan;
  /** Of this rank. */
  readonly loaded: LoadedUpdate;
  readonly samples: Pick<SampleSet, 'learntTokens' | 'answerWeights'>;
  readonly isUsed: IsUsed;
  readonly totalSteps: number;
  readonly recipe: TrainingRecipe;
  readonly signal: AbortSignal | undefined;
  readonly job: Job;
  /** Raised when the run is asked to end. */
  readonly stopSignal: AbortSignal;
  /** Raised by either of the two. */
  readonly ending: AbortSignal;
}

/**
 * A process alone leaves the update under way undone when it is asked to end: no parameter has changed, and the resumed run
 * makes the same update again. The ranks of a job, which agree on an end between updates only, make it whole.
 *
 * @returns undefined for an update left undone
 */
export async function runUpdate(input: UpdateInput): Promise<UpdateOutcome | undefined> {
  const { trainer, plan, loaded, samples, isUsed, totalSteps, recipe, signal, job } = input;
  const { stopSignal, ending } = input;
  const leavesUndone = job.size === 1;
  const denominatorsOfSums = (counted: Pick<SampleSet, 'learntTokens'>): number[] =>
    denominatorsOfRank(plan, counted, recipe.lossNormalisation, job, isUsed);
  const denominators = denominatorsOfSums(samples);
  const answersDenominators = denominatorsOfSums({
    learntTokens: (indices) => samples.answerWeights(indices),
  });
  const learningRate = learningRateAt(plan.update, totalSteps, recipe);
  let loss = 0;
  let tokens = 0;
  let computedTokens = 0;
  try {
    for (const [k, batch] of loaded.entries()) {
      // In a job a rank without samples still takes part in adding gradients up.
      if (batch.length === 0 && job.group === undefined) continue;
      const work = trainer.accumulate({
        ...samplesOf(batch),
        denominator: denominators[k] ?? 1,
        answersDenominator: answersDenominators[k] ?? 1,
        draw: plan.update * DRAWS_PER_UPDATE + k * job.size + job.rank,
        isLast: k === loaded.length - 1,
      });
      const result = await settle(work, leavesUndone ? ending : signal);
      loss += result.loss;
      tokens += result.tokens;
      computedTokens += result.computedTokens;
    }
    const updating = trainer.update({ learningRate, maxGradNorm: recipe.maxGradNorm });
    const { gradNorm, peakBytes } = await settle(updating, signal);
    const count = loaded.reduce((sum, batch) => sum + batch.length, 0);
    const own = [loss, count, tokens, computedTokens, stopSignal.aborted ? 1 : 0];
    const [allLoss = 0, allSamples = 0, allTokens = 0, computed = 0, stopping = 0] =
      await job.sum(own);
    return {
      ...{ loss: allLoss, gradNorm, learningRate, peakBytes },
      ...{ samples: allSamples, tokens: allTokens, computedTokens: computed },
      isStopping: stopping > 0,
    };
  } catch (error) {
    signal?.throwIfAborted();
    if (leavesUndone && error === stopSignal.reason) return undefined;
    throw fromNative(error);
  }
}
