/** Bootstrap intervals of the figures that have no formula of their own. */
import { bootstrapIntervals } from './bootstrap.js';
import { balancedAccuracy, macroF1 } from './classification.js';
import { cellsOf, type ConfusionMatrix, matrixOfCells } from './confusion.js';
import { equalErrorRate } from './operating-points.js';
import { countScores, rocOfCounts, type ScoredPair } from './roc.js';
import type { Interval } from './wilson.js';

export interface ResamplingOptions {
  readonly seed: number;
  readonly confidence?: number | undefined;
  readonly resamples?: number | undefined;
}

export interface ClassificationIntervals {
  readonly balancedAccuracy: Interval | undefined;
  readonly macroF1: Interval | undefined;
}

/** Of balanced accuracy and macro-F1, from the same resamples of the items. */
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
  return { balancedAccuracy: balanced, macroF1: f1 };
}

/**
 * Of the equal error rate; genuine and impostor pairs are drawn separately. Pairs that share a person are
 * treated as independent, which makes the interval too narrow where few people make many pairs.
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
  return interval;
}
