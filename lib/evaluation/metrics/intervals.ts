/** Bootstrap intervals of the figures that have no formula of their own. */
import { bootstrapIntervals } from './bootstrap.js';
import { balancedAccuracy, macroF1 } from './classification.js';
import {
  cellsOf,
  type ConfusionMatrix,
  hitCounts,
  matrixOfCells,
  truthCounts,
} from './confusion.js';
import { equalErrorRate } from './operating-points.js';
import { countScores, rocOfCounts, type ScoredPair } from './roc.js';
import { type Interval, wilsonInterval } from './wilson.js';

export interface ResamplingOptions {
  readonly seed: number;
  readonly confidence?: number | undefined;
  readonly resamples?: number | undefined;
}

export interface ClassificationIntervals {
  readonly balancedAccuracy: Interval | undefined;
  readonly macroF1: Interval | undefined;
}

/** Resamples of data without an error have none either: an interval of no width, which promises too much. */
function isDegenerate({ low, high }: Interval): boolean {
  return low === high;
}

/** Means of the Wilson limits of the classes' recalls: wider than needed, and never without width. */
function recallLimits(matrix: ConfusionMatrix, confidence: number | undefined): Interval {
  const hits = hitCounts(matrix);
  const limits = truthCounts(matrix).flatMap((total, k) =>
    total === 0 ? [] : [wilsonInterval({ successes: hits[k] ?? 0, total, confidence })],
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
): ClassificationIntervals {
  const classCount = matrix.counts.length;
  const [balanced, f1] = bootstrapIntervals({
    ...options,
    strata: [cellsOf(matrix)],
    statistics: ([cells = new Uint32Array()]) => {
      const resampled = matrixOfCells(cells, classCount);
      return [balancedAccuracy(resampled), macroF1(resampled)];
    },
  });
  const widened = (interval: Interval | undefined): Interval | undefined =>
    interval !== undefined && isDegenerate(interval)
      ? recallLimits(matrix, options.confidence)
      : interval;
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
  const [interval] = bootstrapIntervals({
    ...options,
    strata: [Array.from(genuine), Array.from(impostor)],
    statistics: ([trueCounts = [], falseCounts = []]: readonly ArrayLike<number>[]) => [
      equalErrorRate(rocOfCounts({ scores, genuine: trueCounts, impostor: falseCounts })),
    ],
  });
  if (interval === undefined || !isDegenerate(interval)) return interval;
  const trueCount = pairs.filter(({ isGenuine }) => isGenuine).length;
  const total = Math.min(trueCount, pairs.length - trueCount);
  const successes = Math.round(interval.low * total);
  return wilsonInterval({ successes, total, confidence: options.confidence });
}
