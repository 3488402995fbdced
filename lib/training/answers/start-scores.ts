/**
 * Log-probabilities of answers under the model that training starts from, which preferences and the KL term are held
 * against. Computed before a run's first update and, since they follow from the base alone, again when it is resumed; on
 * pictures as they are, whatever augmentation does to them later.
 */
import type { NativeTrainer } from '../../binding/native.js';
import type { Job } from '../../distributed/index.js';
import { prefetch } from '../../jobs/index.js';
import type { TrainingRecipe } from '../recipe.js';
import type { SampleSet } from '../sample-set.js';
import type { SetAside } from '../set-aside.js';
import { sampleLosses } from '../sample-losses.js';

/** Whether the recipe's loss looks at the start model. */
export function looksAtStart({ expectedReward, preference }: TrainingRecipe): boolean {
  return preference !== null || (expectedReward?.kl ?? 0) > 0;
}

export interface StartScoring {
  readonly samples: SampleSet;
  readonly trainer: NativeTrainer;
  readonly recipe: TrainingRecipe;
  readonly aside: SetAside;
  readonly job: Job;
  readonly signal: AbortSignal | undefined;
  /** Records that all ranks together have done, about. */
  readonly onProgress: (done: number, total: number) => void;
}

/**
 * The trainer must be as it was made; every rank of a job computes its share and gets all.
 *
 * @returns of each sample: of its answers, the own one first; empty for one without others, or whose picture is damaged
 * @throws the signal's reason, ImageError, what the engine fails with
 */
export async function startLogProbs(scoring: StartScoring): Promise<Float64Array[]> {
  const { samples, trainer, recipe, aside, job, signal, onProgress } = scoring;
  const first: number[] = [];
  let count = 0;
  samples.samples.forEach(({ others }, i) => {
    first[i] = count;
    count += others.length > 0 ? others.length + 1 : 0;
  });
  const values = new Float64Array(count);
  const isKnown = new Float64Array(samples.samples.length);
  const batches = batchesOf(samples, recipe);
  const total = batches.flat().length;
  const own = Array.from(
    { length: Math.ceil(batches.length / job.size) },
    (_, round) => batches[round * job.size + job.rank] ?? [],
  );
  const load = (indices: readonly number[]) =>
    Promise.all(indices.map((index) => aside.load(index, undefined)));
  let rounds = 0;
  for await (const loaded of prefetch(own, 1, load)) {
    signal?.throwIfAborted();
    const usable = loaded.flatMap(({ index, input }) =>
      input === undefined ? [] : [{ index, samples: input.samples }],
    );
    // Weights are for training; here each answer is asked for.
    const inputs = usable.flatMap((one) => one.samples.map((sample) => ({ ...sample, weight: 1 })));
    const losses = await sampleLosses(trainer, inputs, job, signal);
    let next = 0;
    for (const { index, samples: answers } of usable) {
      isKnown[index] = 1;
      for (let k = 0; k < answers.length; k++) {
        values[(first[index] ?? 0) + k] = -(losses[next++] ?? 0);
      }
    }
    onProgress(batches.slice(0, ++rounds * job.size).flat().length, total);
  }
  const sums = await job.sum([...values, ...isKnown]);
  return samples.samples.map(({ others }, i) => {
    const begin = first[i] ?? 0;
    const isThere = others.length > 0 && (sums[count + i] ?? 0) > 0;
    return Float64Array.from(isThere ? sums.slice(begin, begin + others.length + 1) : []);
  });
}

/** Questions with several answers, by picture, so that it is computed once for them, and as many as training computes at once. */
function batchesOf(
  { samples, pictures }: SampleSet,
  { batchSize, sharesPrefix }: TrainingRecipe,
): number[][] {
  const asked = samples.flatMap(({ others }, i) => (others.length > 0 ? [i] : []));
  asked.sort((a, b) => (pictures[a] ?? 0) - (pictures[b] ?? 0) || a - b);
  const batches: number[][] = [];
  let room = 0;
  for (const i of asked) {
    const size = sharesPrefix ? 1 : (samples[i]?.others.length ?? 0) + 1;
    const last = batches.at(-1);
    if (last !== undefined && size <= room) last.push(i);
    else batches.push([i]);
    room = (last !== undefined && size <= room ? room : batchSize) - size;
  }
  return batches;
}
