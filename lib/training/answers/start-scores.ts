/**
 * Log-probabilities of answers under the model that training starts from, which preferences and the KL term are held
 * against. Computed before a run's first update and, since they follow from the base alone, again when it is resumed; on
 * pictures as they are, whatever augmentation does to them later.
 */
import type { NativeTrainer } from '../../binding/native.js';
import { settle } from '../../binding/settle.js';
import type { Job } from '../../distributed/index.js';
import { fromNative } from '../../errors.js';
import { prefetch } from '../../jobs/index.js';
import type { TrainingRecipe } from '../recipe.js';
import type { SampleSet } from '../sample-set.js';
import type { SetAside } from '../set-aside.js';

/** Whether the recipe's loss looks at the start model. */
export function looksAtStart({ expectedReward, preference }: TrainingRecipe): boolean {
  return preference !== null || (expectedReward?.kl ?? 0) > 0;
}

/**
 * The trainer must be as it was made; every rank of a job computes its share and gets all.
 *
 * @returns of each sample: of its answers, the own one first; empty for one without others, or whose picture is damaged
 * @throws the signal's reason, ImageError, what the engine fails with
 */
export async function startLogProbs(
  samples: SampleSet,
  trainer: NativeTrainer,
  { batchSize }: TrainingRecipe,
  aside: SetAside,
  job: Job,
  signal: AbortSignal | undefined,
): Promise<Float64Array[]> {
  const asked = samples.samples.flatMap(({ others }, i) => (others.length > 0 ? [i] : []));
  // Neighbours by picture, so that it is computed once for its questions.
  asked.sort((a, b) => (samples.pictures[a] ?? 0) - (samples.pictures[b] ?? 0) || a - b);
  const first: number[] = [];
  let count = 0;
  samples.samples.forEach(({ others }, i) => {
    first[i] = count;
    count += others.length > 0 ? others.length + 1 : 0;
  });
  const values = new Float64Array(count);
  const batches = Array.from({ length: Math.ceil(asked.length / batchSize) }, (_, k) =>
    asked.slice(k * batchSize, (k + 1) * batchSize),
  );
  const rounds = Array.from({ length: Math.ceil(batches.length / job.size) }, (_, round) => {
    const own = batches[round * job.size + job.rank];
    // Sharded weights are gathered by all ranks together: one without a batch computes another's.
    return { indices: own ?? batches[0] ?? [], counts: own !== undefined };
  });
  const load = async ({ indices, counts }: (typeof rounds)[number]) => ({
    counts,
    loaded: await Promise.all(indices.map((index) => aside.load(index, undefined))),
  });
  for await (const { loaded, counts } of prefetch(rounds, 1, load)) {
    signal?.throwIfAborted();
    const usable = loaded.flatMap(({ index, input }) =>
      input === undefined ? [] : [{ index, samples: input.samples }],
    );
    // Weights are for training; here each answer is asked for.
    const inputs = usable.flatMap((one) => one.samples.map((own) => ({ ...own, weight: 1 })));
    if (inputs.length === 0) continue;
    const work = trainer.evaluate({
      ...{ samples: inputs, denominator: 1, answerSets: [], answersDenominator: 1 },
      ...{ draw: 0, isLast: true },
    });
    const { sampleLosses } = await settle(work, signal).catch((error: unknown) => {
      signal?.throwIfAborted();
      throw fromNative(error);
    });
    if (!counts) continue;
    let next = 0;
    for (const { index, samples: own } of usable) {
      for (let k = 0; k < own.length; k++) {
        values[(first[index] ?? 0) + k] = -(sampleLosses[next++] ?? 0);
      }
    }
  }
  const sums = await job.sum([...values]);
  return samples.samples.map(({ others }, i) => {
    const begin = first[i] ?? 0;
    return Float64Array.from(others.length > 0 ? sums.slice(begin, begin + others.length + 1) : []);
  });
}
