/**
 * Does a model that says 80 % get 80 % right? The reliability diagram and the expected calibration error of it
 * (M. P. Naeini et al., AAAI 2015; C. Guo et al., ICML 2017), with bins of equal width.
 */
export const DEFAULT_BINS = 10;

export interface ConfidentItem {
  /** Probability of the answer that the model gave, 0 to 1. */
  readonly confidence: number;
  readonly isCorrect: boolean;
}

/** One bar of the reliability diagram: confidences above `low` up to `high`; the first bin holds 0 too. */
export interface ReliabilityBin {
  readonly low: number;
  readonly high: number;
  readonly count: number;
  /** undefined in an empty bin, as is `accuracy`. */
  readonly meanConfidence: number | undefined;
  readonly accuracy: number | undefined;
  readonly correct: number;
}

export interface Calibration {
  /** Mean over items of |confidence - accuracy| of their bins; undefined of no items. */
  readonly ece: number | undefined;
  readonly bins: readonly ReliabilityBin[];
}

/** Bin i is (i/bins, (i+1)/bins]. The product may round past an edge; the two comparisons put that right. */
function binOf(confidence: number, bins: number): number {
  const near = Math.min(bins - 1, Math.floor(confidence * bins));
  if (near > 0 && confidence <= near / bins) return near - 1;
  return near < bins - 1 && confidence > (near + 1) / bins ? near + 1 : near;
}

/** The same of items that come one by one and are not kept. */
export class CalibrationCount {
  readonly #sums: { count: number; correct: number; confidence: number }[];

  constructor(bins: number = DEFAULT_BINS) {
    this.#sums = Array.from({ length: bins }, () => ({ count: 0, correct: 0, confidence: 0 }));
  }

  add({ confidence, isCorrect }: ConfidentItem): void {
    const sum = this.#sums[binOf(confidence, this.#sums.length)];
    if (sum === undefined) return;
    sum.count += 1;
    sum.correct += isCorrect ? 1 : 0;
    sum.confidence += confidence;
  }

  get result(): Calibration {
    const sums = this.#sums;
    const gap = sums.reduce((total, sum) => total + Math.abs(sum.confidence - sum.correct), 0);
    const items = sums.reduce((total, { count }) => total + count, 0);
    return {
      ece: items === 0 ? undefined : gap / items,
      bins: sums.map(({ count, correct, confidence }, i) => ({
        low: i / sums.length,
        high: (i + 1) / sums.length,
        count,
        correct,
        meanConfidence: count === 0 ? undefined : confidence / count,
        accuracy: count === 0 ? undefined : correct / count,
      })),
    };
  }
}

export function calibration(
  items: readonly ConfidentItem[],
  bins: number = DEFAULT_BINS,
): Calibration {
  const count = new CalibrationCount(bins);
  for (const item of items) count.add(item);
  return count.result;
}
