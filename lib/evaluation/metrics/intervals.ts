/**
 * Percentile bootstrap (B. Efron, Annals of Statistics 7, 1979) for figures that are no simple proportion: balanced
 * accuracy, macro-F1, equal error rate. The data are drawn again from themselves many times; the interval holds the
 * middle of what the figure came out as.
 */
import {
  balancedAccuracy,
  cellsOf,
  type ConfusionMatrix,
  hitCounts,
  macroF1,
  matrixOfCells,
  truthCounts,
} from './classification.js';
import { equalErrorRate } from './operating-points.js';
import { randomIntegers } from './random.js';
import { countScores, rocOfCounts, type ScoredPair } from './roc.js';
import { CONFIDENCE, type Interval, wilsonInterval } from './wilson.js';

export interface ResamplingOptions {
  readonly seed: number;
  /** @default 1000 */
  readonly resamples?: number | undefined;
}

/** The value below which `share` of the sorted values lie, interpolated (numpy's default); NaN of none. */
export function quantile(sorted: readonly number[], share: number): number {
  const place = share * (sorted.length - 1);
  const below = sorted[Math.floor(place)] ?? NaN;
  const above = sorted[Math.ceil(place)] ?? NaN;
  return below + (place - Math.floor(place)) * (above - below);
}

/** The kind of each single item. */
function kindsOf(counts: readonly number[]): Uint32Array {
  return Uint32Array.from(counts.flatMap((count, kind) => new Array<number>(count).fill(kind)));
}

/**
 * One interval for each figure, undefined if it exists in no resample. The same for the same data and seed.
 * Blocks the event loop: about 10 ms for a thousand items.
 *
 * @param strata how many items of each kind there are, such as the cells of a confusion matrix; each stratum is drawn
 *   from separately and keeps its size: one, or genuine and impostor pairs
 * @param statistics the figures of one resample, from its counts; undefined where one does not exist
 */
function bootstrapIntervals(
  strata: readonly (readonly number[])[],
  statistics: (strata: readonly Uint32Array[]) => readonly (number | undefined)[],
  { seed, resamples = 1000 }: ResamplingOptions,
): (Interval | undefined)[] {
  const below = randomIntegers(seed);
  const kinds = strata.map(kindsOf);
  const values: number[][] = [];
  for (let round = 0; round < resamples; round++) {
    const drawn = kinds.map((items, stratum) => {
      const counts = new Uint32Array(strata[stratum]?.length ?? 0);
      for (let i = 0; i < items.length; i++) {
        const kind = items[below(items.length)] ?? 0;
        counts[kind] = (counts[kind] ?? 0) + 1;
      }
      return counts;
    });
    for (const [figure, value] of statistics(drawn).entries()) {
      const list = (values[figure] ??= []);
      if (value !== undefined) list.push(value);
    }
  }
  const tail = (1 - CONFIDENCE) / 2;
  return values.map((list) => {
    if (list.length === 0) return undefined;
    list.sort((a, b) => a - b);
    return { low: quantile(list, tail), high: quantile(list, 1 - tail) };
  });
}

/** Of a ratio of sums over items, such as a mean over tokens that come in answers: items are drawn. */
export function ratioInterval(
  items: readonly (readonly [sum: number, count: number])[],
  options: ResamplingOptions,
): Interval | undefined {
  const ratio = ([drawn = new Uint32Array()]: readonly Uint32Array[]) => {
    let [sum, count] = [0, 0];
    for (const [i, [ofSum, ofCount]] of items.entries()) {
      const times = drawn[i] ?? 0;
      sum += times * ofSum;
      count += times * ofCount;
    }
    return [count === 0 ? undefined : sum / count];
  };
  return bootstrapIntervals([items.map(() => 1)], ratio, options)[0];
}

/** Resamples of data without an error have none either: an interval of no width, which promises too much. */
function isDegenerate({ low, high }: Interval): boolean {
  return low === high;
}

/** Means of the Wilson limits of the classes' recalls: wider than needed, and never without width. */
function recallLimits(matrix: ConfusionMatrix): Interval {
  const hits = hitCounts(matrix);
  const limits = truthCounts(matrix).flatMap((total, k) =>
    total === 0 ? [] : [wilsonInterval(hits[k] ?? 0, total)],
  );
  const mean = (side: 'low' | 'high'): number =>
    limits.reduce((sum, interval) => sum + interval[side], 0) / limits.length;
  return { low: mean('low'), high: mean('high') };
}

/**
 * Of balanced accuracy and macro-F1, from the same resamples of the items; where all of these agree (no error at
 * all), the mean of the Wilson limits of the classes' recalls instead.
 */
export function classificationIntervals(
  matrix: ConfusionMatrix,
  options: ResamplingOptions,
): Readonly<Record<'balancedAccuracy' | 'macroF1', Interval | undefined>> {
  const classCount = matrix.counts.length;
  const figures = ([cells = new Uint32Array()]: readonly Uint32Array[]) => {
    const resampled = matrixOfCells(cells, classCount);
    return [balancedAccuracy(resampled), macroF1(resampled)];
  };
  const [balanced, f1] = bootstrapIntervals([cellsOf(matrix)], figures, options);
  const widened = (interval: Interval | undefined): Interval | undefined =>
    interval !== undefined && isDegenerate(interval) ? recallLimits(matrix) : interval;
  return { balancedAccuracy: widened(balanced), macroF1: widened(f1) };
}

/**
 * Of the equal error rate; genuine and impostor pairs are drawn separately. Pairs that share a person are
 * treated as independent, which makes the interval too narrow where few people make many pairs. Where all
 * resamples agree, Wilson's interval of as many trials as there are pairs of the rarer kind.
 */
export function equalErrorRateInterval(
  pairs: readonly ScoredPair[],
  options: ResamplingOptions,
): Interval | undefined {
  const { scores, genuine, impostor } = countScores(pairs);
  const rate = ([trueCounts = [], falseCounts = []]: readonly ArrayLike<number>[]) => [
    equalErrorRate(rocOfCounts({ scores, genuine: trueCounts, impostor: falseCounts })),
  ];
  const [interval] = bootstrapIntervals([Array.from(genuine), Array.from(impostor)], rate, options);
  if (interval === undefined || !isDegenerate(interval)) return interval;
  const trueCount = pairs.filter(({ isGenuine }) => isGenuine).length;
  const total = Math.min(trueCount, pairs.length - trueCount);
  return wilsonInterval(Math.round(interval.low * total), total);
}
