/** Losses of samples without learning from them, as every rank of a job asks for them at the same time. */
import type { NativeTrainer, NativeTrainSample } from '../binding/native.js';
import { settle } from '../binding/settle.js';
import type { Job } from '../distributed/index.js';

/**
 * Every rank calls it in every round, with or without samples: weights that are shared out are gathered by all together.
 *
 * @returns of each sample the sum over its learnt tokens, nats
 * @throws the signal's reason, what the engine fails with
 */
export async function sampleLosses(
  trainer: NativeTrainer,
  samples: readonly NativeTrainSample[],
  job: Job,
  signal: AbortSignal | undefined,
): Promise<readonly number[]> {
  if (samples.length === 0 && job.group === undefined) return [];
  const work = trainer.evaluate({
    ...{ samples, denominator: 1, answerSets: [], answersDenominator: 1 },
    ...{ draw: 0, isLast: true },
  });
  return (await settle(work, signal)).sampleLosses;
}
