/** Is one model better than another on the same questions? McNemar's test on those that they split. */
import { mcNemar } from '../metrics/index.js';
import type { FaceXItem, Group, Reading, ReadRun } from './scores.js';

export interface Comparison {
  readonly table: Group['table'];
  readonly group: string;
  readonly reading: Reading;
  readonly first: string;
  readonly second: string;
  /** Questions that only one of the two answered rightly. */
  readonly onlyFirst: number;
  readonly onlySecond: number;
  /** Accuracy of the second less that of the first. */
  readonly difference: number;
  readonly statistic: number;
  readonly pValue: number;
  /** By the binomial distribution, not by chi-squared. */
  readonly isExact: boolean;
}

export function compareRuns(
  items: readonly FaceXItem[],
  { table, name, members }: Group,
  [first, second]: readonly [ReadRun, ReadRun],
  reading: Reading,
): Comparison {
  const isRight = (run: ReadRun, i: number): boolean =>
    run.picks[reading]?.[i] === items[i]?.answer;
  const onlyFirst = members.filter((i) => isRight(first, i) && !isRight(second, i)).length;
  const onlySecond = members.filter((i) => !isRight(first, i) && isRight(second, i)).length;
  const { statistic, pValue, isExact } = mcNemar({ onlyFirst, onlySecond });
  return {
    table,
    group: name,
    reading,
    first: first.name,
    second: second.name,
    onlyFirst,
    onlySecond,
    difference: (onlySecond - onlyFirst) / members.length,
    statistic,
    pValue,
    isExact,
  };
}
