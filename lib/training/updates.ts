/** One update: this rank's part of its micro-batches forward and backward, then the optimizer. */
import type { NativeMicroBatch, NativeTrainer } from '../binding/native.js';
import { settle } from '../binding/settle.js';
import type { Job } from '../distributed/index.js';
import { fromNative } from '../errors.js';
import { shareOf, type UpdatePlan } from './order.js';
import type { Place } from './rank.js';
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

/**
 * What each micro-batch's sum of losses is divided by (docs/internvl3.md, section 11.2). Micro-batches without anything that counts
 * have no mean to take part with.
 */
export function denominatorsOf(
  counts: readonly number[],
  normalisation: TrainingRecipe['lossNormalisation'],
): number[] {
  const whole = counts.reduce((sum, count) => sum + count, 0);
  const means = counts.filter((count) => count > 0).length;
  return counts.map((count) => (normalisation === 'window' ? whole : count * means));
}

/**
 * What the sum of this rank's losses in each micro-batch is divided by, so that sums over ranks are the loss and
 * the gradient. `window`: what counts in the whole update on all ranks, whatever their number. `micro-batch`:
 * the mean of each rank's own share counts alike, as under torch's DistributedDataParallel, where it has one.
 *
 * @param countOf what of these samples counts: learnt tokens, or questions with several answers
 */
export function denominatorsOfRank(
  plan: UpdatePlan,
  countOf: (indices: readonly number[]) => number,
  normalisation: TrainingRecipe['lossNormalisation'],
  { rank, size }: Place,
  isUsed: IsUsed = () => true,
): number[] {
  const countIn = (batch: readonly number[]): number => countOf(batch.filter(isUsed));
  const counts = plan.microBatches.map(countIn);
  const means = counts.filter((count) => count > 0).length;
  const denominators =
    normalisation === 'window'
      ? denominatorsOf(counts, normalisation)
      : counts.map((_, k) => {
          const shares = Array.from({ length: size }, (_share, r) =>
            countIn(shareOf(plan, k, r, size)),
          );
          return (shares[rank] ?? 0) * shares.filter((count) => count > 0).length * means;
        });
  // Where nothing counts the number is not used.
  return denominators.map((denominator) => (denominator > 0 ? denominator : 1));
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
  /** Updates after which waiting for a better validation ended. */
  readonly endedAt: number | null;
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
  const denominatorsOfSums = (countOf: (indices: readonly number[]) => number): number[] =>
    denominatorsOfRank(plan, countOf, recipe.lossNormalisation, job, isUsed);
  const denominators = denominatorsOfSums((indices) => samples.learntTokens(indices));
  const answersDenominators = denominatorsOfSums((indices) => samples.answerWeights(indices));
  const learningRate = learningRateAt(plan.update, totalSteps, recipe, input.endedAt);
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
