/** Is one model better than another on the same questions? McNemar's test on those that only one of them got right. */
import { mcNemar, type McNemarResult } from '../metrics/mcnemar.js';
import { numeric, type TableBlock } from '../report/document.js';
import { formatDifference, formatPValue } from '../report/numbers.js';

/** One model's answers, in the order of the questions. */
export interface MarkedAnswers {
  readonly model: string;
  readonly isRight: readonly boolean[];
}

export interface PairedComparison extends McNemarResult {
  readonly first: string;
  readonly second: string;
  /** Accuracy of the second less that of the first. */
  readonly difference: number;
  readonly onlyFirst: number;
  readonly onlySecond: number;
}

/** Each of the others with the first. */
export function compareWithFirst(all: readonly MarkedAnswers[]): PairedComparison[] {
  const [first, ...others] = all;
  if (first === undefined) return [];
  return others.map(({ model, isRight }) => {
    const onlyFirst = first.isRight.filter((right, i) => right && isRight[i] !== true).length;
    const onlySecond = isRight.filter((right, i) => right && first.isRight[i] !== true).length;
    return {
      first: first.model,
      second: model,
      difference: (onlySecond - onlyFirst) / first.isRight.length,
      onlyFirst,
      onlySecond,
      ...mcNemar(onlyFirst, onlySecond),
    };
  });
}

/** @param lead a column before the others, such as how answers were read */
export function comparisonTable<C extends PairedComparison>(
  comparisons: readonly C[],
  lead?: { readonly title: string; readonly cell: (comparison: C) => string },
): TableBlock {
  return {
    kind: 'table',
    columns: [
      ...(lead === undefined ? [] : [{ title: lead.title }]),
      { title: 'models' },
      ...numeric('difference of accuracy', 'right only in the first', 'right only in the second'),
      ...numeric('p (McNemar)'),
      { title: 'method' },
    ],
    rows: comparisons.map((one) => ({
      cells: [
        ...(lead === undefined ? [] : [lead.cell(one)]),
        `${one.first} → ${one.second}`,
        formatDifference(one.difference),
        ...[one.onlyFirst, one.onlySecond].map(String),
        formatPValue(one.pValue),
        one.isExact ? 'exact binomial' : 'χ², continuity corrected',
      ],
    })),
  };
}
