/**
 * Accuracy, balanced accuracy and macro-F1 of a confusion matrix, as scikit-learn counts them. An answer that
 * could not be read is a miss of its true class and a false alarm of none. Of no items nothing is known: the
 * figures are undefined.
 */
import { type ConfusionMatrix, hitCounts, predictedCounts, truthCounts } from './confusion.js';

function mean(values: readonly number[]): number | undefined {
  if (values.length === 0) return undefined;
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

export function correctCount(matrix: ConfusionMatrix): number {
  return hitCounts(matrix).reduce((sum, n) => sum + n, 0);
}

/** Share of items that are right. */
export function accuracy(matrix: ConfusionMatrix): number | undefined {
  return matrix.total === 0 ? undefined : correctCount(matrix) / matrix.total;
}

/** Share right of each true class; undefined for a class without items. */
export function recalls(matrix: ConfusionMatrix): (number | undefined)[] {
  const hits = hitCounts(matrix);
  return truthCounts(matrix).map((n, k) => (n === 0 ? undefined : (hits[k] ?? 0) / n));
}

/**
 * Mean of the recalls of the classes that occur: guessing gives 1/classes however unequal their sizes are. Of
 * a single class it is that one's recall.
 */
export function balancedAccuracy(matrix: ConfusionMatrix): number | undefined {
  return mean(recalls(matrix).filter((recall) => recall !== undefined));
}

/**
 * Mean F1 of the classes that occur or were predicted; a class that was never right has F1 = 0. Classes that
 * neither occur nor were predicted do not count.
 */
export function macroF1(matrix: ConfusionMatrix): number | undefined {
  const hits = hitCounts(matrix);
  const predicted = predictedCounts(matrix);
  const scores = truthCounts(matrix).flatMap((n, k) => {
    // F1 = 2 TP / (2 TP + FP + FN), and TP + FN and TP + FP are these two counts.
    const mentions = n + (predicted[k] ?? 0);
    return mentions === 0 ? [] : [(2 * (hits[k] ?? 0)) / mentions];
  });
  return mean(scores);
}
