/** A training run under way: await it for its result, iterate over it for its events. */
import { createError } from '../errors.js';
import type { JobRun } from '../jobs/index.js';
import type { TrainingEvent, TrainingResult } from './events.js';

/**
 * `stop()` ends the run with a checkpoint of every whole update to resume from: at once within an update, which is left
 * undone; in a job of several processes after the update under way.
 */
export type TrainingRun = JobRun<TrainingEvent, TrainingResult>;

/**
 * Work before a run's first update, which `stop()` ends: there is nothing to save yet. In a job of several processes it does not,
 * whose ranks agree on an end before their first update.
 *
 * @throws CancelledError FACELLM_CANCELLED where it was stopped; the reason of the caller's own signal, what the work fails with
 */
export async function beforeFirstUpdate<T>(
  { stopSignal }: TrainingRun,
  own: AbortSignal | undefined,
  processes: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const signals = [...(own === undefined ? [] : [own]), ...(processes > 1 ? [] : [stopSignal])];
  const signal = AbortSignal.any(signals);
  try {
    return await work(signal);
  } catch (error) {
    if (!signal.aborted || own?.aborted === true) throw error;
    throw createError(
      'FACELLM_CANCELLED',
      'the run was stopped before its first update; what was saved before stays',
      { cause: error },
    );
  }
}
