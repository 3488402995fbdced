/** A FaceXBench run as numbers: every score, every comparison, every failure. */
import { compareWithFirst, type PairedComparison } from '../paired/comparison.js';
import { formatEstimate } from '../report/numbers.js';
import type { FaceXSetting } from './prompt.js';
import {
  type FaceXItem,
  type Group,
  groupItems,
  type Reading,
  type ReadRun,
  readingsOf,
  type Score,
  scoreGroup,
} from './scores.js';

/** The second of two models against the first, in one group by one reading. */
export interface Comparison extends PairedComparison {
  readonly table: Group['table'];
  readonly group: string;
  readonly reading: Reading;
}

/** Everything that the tables are made of. */
export interface FaceXResults {
  readonly title: string;
  readonly isPartial: boolean;
  readonly notes: readonly string[];
  readonly setting: FaceXSetting;
  readonly models: readonly string[];
  readonly scores: readonly Score[];
  readonly comparisons: readonly Comparison[];
  readonly failures: readonly {
    readonly model: string;
    readonly id: string;
    readonly reason: string;
  }[];
  /** Mean of one over the number of options. */
  readonly chance: number;
}

export interface ResultsInput extends Pick<FaceXResults, 'isPartial' | 'notes' | 'setting'> {
  readonly items: readonly FaceXItem[];
}

function compare(
  items: readonly FaceXItem[],
  { table, name: group, members }: Group,
  runs: readonly ReadRun[],
  reading: Reading,
): Comparison[] {
  const marked = runs.map(({ name, picks }) => ({
    model: name,
    isRight: members.map((i) => picks[reading]?.[i] === items[i]?.answer),
  }));
  return compareWithFirst(marked).map(({ first, second, difference, ...counts }) => {
    const { onlyFirst, onlySecond, ...test } = counts;
    return { table, group, reading, first, second, onlyFirst, onlySecond, difference, ...test };
  });
}

/** @param runs the first is what the others are compared with */
export function resultsOf(options: ResultsInput, runs: readonly ReadRun[]): FaceXResults {
  const { items, isPartial, notes, setting } = options;
  const groups = groupItems(items);
  const [first, ...others] = runs;
  return {
    title: isPartial ? 'FaceXBench questions, partial set' : 'FaceXBench',
    ...{ isPartial, notes, setting },
    models: runs.map(({ name }) => name),
    scores: groups.flatMap((group) =>
      runs.flatMap((run) =>
        readingsOf(run).map((reading) => scoreGroup(items, group, run, reading)),
      ),
    ),
    comparisons: groups.flatMap((group) =>
      others.flatMap((other) =>
        first === undefined
          ? []
          : readingsOf(first).flatMap((reading) => compare(items, group, [first, other], reading)),
      ),
    ),
    failures: runs.flatMap(({ name, outcomes }) =>
      outcomes.flatMap(({ id, failure }) =>
        failure ? [{ model: name, id, reason: `${failure.code}: ${failure.message}` }] : [],
      ),
    ),
    chance: items.reduce((sum, { choices }) => sum + 1 / choices.length, 0) / items.length,
  };
}

/** Accuracies over all questions and by category, a row for each model, a column for each reading. */
export function mainTable({ scores, models }: FaceXResults): string[][] {
  const readings = [...new Set(scores.map(({ reading }) => reading))];
  const main = scores.filter(({ table }) => table === 'overall' || table === 'category');
  const rows = [...new Set(main.map(({ group }) => group))].flatMap((group) =>
    models.map((model) => {
      const own = main.filter((score) => score.group === group && score.model === model);
      const cells = readings.map((reading) => {
        const found = own.find((score) => score.reading === reading);
        return formatEstimate(found && { ...found, value: found.accuracy });
      });
      return [group, model, String(own[0]?.total ?? 0), ...cells];
    }),
  );
  return [['questions', 'model', 'n', ...readings], ...rows];
}

/** Headline figures of a model: overall and per category. */
export function figuresOf(
  { scores, failures }: FaceXResults,
  model: string,
): Record<string, number> {
  const own = scores.filter((score) => score.model === model);
  const figures = own.flatMap(({ table, group, reading, accuracy }): [string, number][] => {
    if (table === 'overall') return [[`accuracy.${reading}`, accuracy]];
    return table === 'category' ? [[`accuracy.${reading}.${group}`, accuracy]] : [];
  });
  const failed = failures.filter((failure) => failure.model === model).length;
  return { ...Object.fromEntries(figures), failures: failed };
}
