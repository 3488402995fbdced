/**
 * The confusion matrix, and accuracy, balanced accuracy and macro-F1 as scikit-learn counts them from it. An answer
 * that could not be read is a miss of its true class and a false alarm of none. Of no items nothing is known: the
 * figures are undefined.
 */
/** One item as these figures see it: classes by index. */
export interface ClassifiedItem {
  readonly truth: number;
  /** undefined: the answer could not be read. It is wrong, and no other class gets it. */
  readonly predicted: number | undefined;
}

export interface ConfusionMatrix {
  /** [truth][predicted]: how many items. */
  readonly counts: readonly (readonly number[])[];
  /** [truth]: how many answers could not be read. */
  readonly unread: readonly number[];
  /** Of all items, unread ones included. */
  readonly total: number;
}

export function confusionMatrix(
  items: readonly ClassifiedItem[],
  classCount: number,
): ConfusionMatrix {
  const counts = Array.from({ length: classCount }, () => new Array<number>(classCount).fill(0));
  const unread = new Array<number>(classCount).fill(0);
  for (const { truth, predicted } of items) {
    const [row, column] = predicted === undefined ? [unread, truth] : [counts[truth], predicted];
    if (row !== undefined) row[column] = (row[column] ?? 0) + 1;
  }
  return { counts, unread, total: items.length };
}

/** Items of each true class, unread ones included. */
export function truthCounts({ counts, unread }: ConfusionMatrix): number[] {
  return counts.map((row, truth) => row.reduce((sum, n) => sum + n, unread[truth] ?? 0));
}

/** Items of each class predicted. */
export function predictedCounts({ counts }: ConfusionMatrix): number[] {
  return counts.map((_, k) => counts.reduce((sum, row) => sum + (row[k] ?? 0), 0));
}

/** Items of each class that were predicted right. */
export function hitCounts({ counts }: ConfusionMatrix): number[] {
  return counts.map((row, k) => row[k] ?? 0);
}

/** The matrix as one row of counts, each true class's predictions followed by its unread answers. */
export function cellsOf({ counts, unread }: ConfusionMatrix): number[] {
  return counts.flatMap((row, truth) => [...row, unread[truth] ?? 0]);
}

/** The matrix of such a row. */
export function matrixOfCells(cells: ArrayLike<number>, classCount: number): ConfusionMatrix {
  const all = Array.from(cells);
  const rows = Array.from({ length: classCount }, (_, truth) =>
    all.slice(truth * (classCount + 1), (truth + 1) * (classCount + 1)),
  );
  return {
    counts: rows.map((row) => row.slice(0, classCount)),
    unread: rows.map((row) => row[classCount] ?? 0),
    total: all.reduce((sum, n) => sum + n, 0),
  };
}

function mean(values: readonly number[]): number | undefined {
  if (values.length === 0) return undefined;
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

export function correctCount(matrix: ConfusionMatrix): number {
  return hitCounts(matrix).reduce((sum, n) => sum + n, 0);
}

/**
 * Mean of the recalls of the classes that occur: guessing gives 1/classes however unequal their sizes are. Of
 * a single class it is that one's recall.
 */
export function balancedAccuracy(matrix: ConfusionMatrix): number | undefined {
  const hits = hitCounts(matrix);
  return mean(truthCounts(matrix).flatMap((n, k) => (n === 0 ? [] : [(hits[k] ?? 0) / n])));
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

/** Where classes have an order: items whose predicted class is at most `bins` steps from the true one; unread answers are not. */
export function withinBinsCount({ counts }: ConfusionMatrix, bins: number): number {
  const near = counts.map((row, truth) => row.filter((_, k) => Math.abs(k - truth) <= bins));
  return near.flat().reduce((sum, n) => sum + n, 0);
}
