/** What differs where a run is trained by several processes: each rank's share, and what all must agree on. */
import type { NativeTrainer } from '../binding/native.js';
import type { Job } from '../distributed/index.js';
import { createError, fromNative } from '../errors.js';
import type { TrainerState } from './checkpoint-folder.js';
import { shareOf, type UpdatePlan } from './order.js';
import { fingerprintOf } from './run-inputs.js';

export type Place = Pick<Job, 'rank' | 'size'>;

/** The update as this rank computes it; micro-batches may be empty. */
export function planOfRank(plan: UpdatePlan, { rank, size }: Place): UpdatePlan {
  return { ...plan, microBatches: plan.microBatches.map((_, k) => shareOf(plan, k, rank, size)) };
}

/** A number that two runs are very unlikely to share, exact in a double. */
function digest({ inputs }: TrainerState): number {
  return Number.parseInt(fingerprintOf(inputs).slice(0, 12), 16);
}

/**
 * Rank 0's state for all, and its trainable tensors with it: only rank 0 needs to see the run's folder.
 *
 * @param records of the samples, in their order
 * @throws TrainingError FACELLM_DISTRIBUTED on a rank with another recipe, model or data
 */
export async function agreeOnStart(
  job: Job,
  trainer: NativeTrainer,
  state: TrainerState,
  records: readonly number[],
): Promise<TrainerState> {
  if (job.group === undefined) return state;
  const own = [digest(state), state.step, state.totalTokens, state.lastLoss];
  const [print, step = 0, totalTokens = 0, lastLoss = 0] = await job.sum(
    job.isLeader ? own : own.map(() => 0),
  );
  const isSame = print === digest(state);
  const [differing = 0] = await job.sum([isSame ? 0 : 1]);
  if (differing > 0) {
    throw createError(
      'FACELLM_DISTRIBUTED',
      `${differing} of ${job.size} ranks have another recipe, model or data than rank 0` +
        `${isSame ? '' : `, this one (rank ${job.rank}) among them`}; give all the same`,
    );
  }
  const known = new Map(state.setAside.map((record) => [record.index, record]));
  const isAside = await job.sum(records.map((index) => (job.isLeader && known.has(index) ? 1 : 0)));
  const setAside = records
    .filter((_, i) => (isAside[i] ?? 0) > 0)
    .map((index) => known.get(index) ?? { index, problems: [] });
  const { best, sinceBest, endedAt } = state.validation;
  const [isKnown = 0, bestStep = 0, bestValue = 0, since = 0, hasEnded = 0, ended = 0] =
    await job.sum(
      job.isLeader
        ? [best === null ? 0 : 1, best?.step ?? 0, best?.value ?? 0, sinceBest].concat(
            endedAt === null ? [0, 0] : [1, endedAt],
          )
        : [0, 0, 0, 0, 0, 0],
    );
  const validation = {
    best: isKnown > 0 ? { step: bestStep, value: bestValue } : null,
    ...{ sinceBest: since, endedAt: hasEnded > 0 ? ended : null },
  };
  try {
    await trainer.synchronise(step).promise;
  } catch (error) {
    throw fromNative(error);
  }
  return { ...state, step, totalTokens, lastLoss, setAside, validation };
}
