/**
 * Which samples an update sees: a function of the seed, the epoch and the samples' lengths alone, so that a
 * resumed run, and every process of a job, finds the same order without being told.
 */
import type { TrainingRecipe } from './recipe.js';

export type OrderOptions = Pick<
  TrainingRecipe,
  | 'seed'
  | 'batchSize'
  | 'accumulation'
  | 'epochs'
  | 'maxSteps'
  | 'packing'
  | 'groupsByLength'
  | 'groupsByPicture'
  | 'sharesPrefix'
  | 'cutoffLength'
>;

/** Samples (by index) of one micro-batch, of all processes together. */
export type MicroBatchPlan = readonly number[];

export interface UpdatePlan {
  /** From 0. */
  readonly update: number;
  /** Passes over the data before this one. */
  readonly pass: number;
  /** Passes over the data when this update is done. */
  readonly epoch: number;
  readonly microBatches: readonly MicroBatchPlan[];
  /** Of each micro-batch what each process computes; undefined: as `equalShare` cuts it. */
  readonly shares?: readonly (readonly MicroBatchPlan[])[] | undefined;
}

/** Uniform numbers in [0, 1) from a seed (splitmix64's top 53 bits). */
export function randomNumbers(seed: number, stream: number): () => number {
  let state = BigInt.asUintN(64, BigInt(seed) * 0x9e3779b97f4a7c15n + BigInt(stream) + 1n);
  return () => {
    state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n);
    let z = state;
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    return Number((z ^ (z >> 31n)) >> 11n) / 2 ** 53;
  };
}

/** A permutation of 0..count-1 (Fisher-Yates). */
export function permutation(count: number, random: () => number): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const k = Math.floor(random() * (i + 1));
    const held = order[i] as number;
    order[i] = order[k] as number;
    order[k] = held;
  }
  return order;
}

/**
 * Within stretches of many batches samples are sorted by length, so that each batch's are alike while the
 * order of batches stays random (transformers' group_by_length: 50 batches a stretch).
 */
function grouped(order: readonly number[], lengths: ArrayLike<number>, batch: number): number[] {
  const stretch = 50 * batch;
  const result: number[] = [];
  for (let begin = 0; begin < order.length; begin += stretch) {
    const own = order.slice(begin, begin + stretch);
    result.push(...own.sort((a, b) => (lengths[b] ?? 0) - (lengths[a] ?? 0) || a - b));
  }
  return result;
}

/** Samples of one picture stand together, in the order in which pictures are met first. */
function gathered(order: readonly number[], pictures: ArrayLike<number>): number[] {
  const groups = new Map<number, number[]>();
  for (const sample of order) {
    const picture = pictures[sample] ?? -1;
    const group = groups.get(picture);
    if (group === undefined) groups.set(picture, [sample]);
    else group.push(sample);
  }
  return [...groups.values()].flat();
}

/** As cutBySamples, but samples of one picture, which stand together, are cut apart only where no batch holds them all. */
function cutByPictures(
  order: readonly number[],
  pictures: ArrayLike<number>,
  size: number,
): number[][] {
  const batches: number[][] = [];
  for (let begin = 0; begin < order.length;) {
    let end = begin + 1;
    while (end < order.length && pictures[order[end] ?? 0] === pictures[order[begin] ?? 0]) end++;
    const own = order.slice(begin, Math.min(end, begin + size));
    const last = batches.at(-1);
    if (last !== undefined && last.length + own.length <= size) last.push(...own);
    else batches.push(own);
    begin += own.length;
  }
  return batches;
}

function cutBySamples(order: readonly number[], size: number): number[][] {
  const batches: number[][] = [];
  for (let begin = 0; begin < order.length; begin += size) {
    batches.push(order.slice(begin, begin + size));
  }
  return batches;
}

function cutByTokens(
  order: readonly number[],
  lengths: ArrayLike<number>,
  budget: number,
): number[][] {
  const batches: number[][] = [];
  let room = 0;
  for (const sample of order) {
    const length = lengths[sample] ?? 0;
    const last = batches.at(-1);
    if (last !== undefined && length <= room) {
      last.push(sample);
      room -= length;
    } else {
      batches.push([sample]);
      room = budget - length;
    }
  }
  return batches;
}

function epochOrder(
  epoch: number,
  { lengths, pictures }: SampleFacts,
  worldSize: number,
  options: OrderOptions,
): Pick<UpdatePlan, 'microBatches' | 'shares'> {
  let order = permutation(lengths.length, randomNumbers(options.seed, epoch));
  const size = options.batchSize * worldSize;
  if (options.groupsByLength) order = grouped(order, lengths, size);
  if (options.groupsByPicture) order = gathered(order, pictures);
  if (options.packing) {
    return { microBatches: cutByTokens(order, lengths, size * options.cutoffLength) };
  }
  if (!options.sharesPrefix) return { microBatches: cutBySamples(order, size) };
  // A process shares only what it computes itself.
  const ofRanks = cutByPictures(order, pictures, options.batchSize);
  const shares = Array.from({ length: Math.ceil(ofRanks.length / worldSize) }, (_, k) =>
    ofRanks.slice(k * worldSize, (k + 1) * worldSize),
  );
  return { microBatches: shares.map((share) => share.flat()), shares };
}

/** What the order depends on, by sample. */
export interface SampleFacts {
  /** In tokens. */
  readonly lengths: ArrayLike<number>;
  /** Equal for samples of the same pictures. */
  readonly pictures: ArrayLike<number>;
}

/** Updates of the whole run; the last of an epoch may hold fewer micro-batches and samples. */
export function planUpdates(
  facts: SampleFacts,
  worldSize: number,
  options: OrderOptions,
): UpdatePlan[] {
  const updates: UpdatePlan[] = [];
  const limit = options.maxSteps > 0 ? options.maxSteps : Infinity;
  // maxSteps alone decides where it is given, as in transformers.
  const epochs = options.maxSteps > 0 ? Infinity : options.epochs;
  for (let epoch = 0; epoch < epochs && updates.length < limit; epoch++) {
    const { microBatches: batches, shares } = epochOrder(epoch, facts, worldSize, options);
    const share = Math.min(1, epochs - epoch);
    const used = Math.ceil(batches.length * share);
    for (let begin = 0; begin < used && updates.length < limit; begin += options.accumulation) {
      const end = Math.min(begin + options.accumulation, used);
      updates.push({
        update: updates.length,
        pass: epoch,
        epoch: epoch + end / batches.length,
        microBatches: batches.slice(begin, end),
        shares: shares?.slice(begin, end),
      });
    }
  }
  return updates;
}

/** A process's part of a micro-batch that may be cut anywhere; may be empty at the end of an epoch. */
export function equalShare(batch: MicroBatchPlan, rank: number, worldSize: number): MicroBatchPlan {
  const begin = Math.floor((batch.length * rank) / worldSize);
  const end = Math.floor((batch.length * (rank + 1)) / worldSize);
  return batch.slice(begin, end);
}

/** The part of a plan's k-th micro-batch that a process computes; may be empty. */
export function shareOf(
  { microBatches, shares }: UpdatePlan,
  k: number,
  rank: number,
  worldSize: number,
): MicroBatchPlan {
  return shares === undefined
    ? equalShare(microBatches[k] ?? [], rank, worldSize)
    : (shares[k]?.[rank] ?? []);
}
