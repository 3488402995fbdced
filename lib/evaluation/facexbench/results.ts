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
      runs
        .slice(0, 1)
        .flatMap(readingsOf)
        .flatMap((reading) => compare(items, group, runs, reading)),
    ),
    failures: runs.flatMap(({ name, outcomes }) =>
      outcomes.flatMap(({ id, failure }) =>
        failure ? [{ model: name, id, reason: `${failure.code}: ${failure.message}` }] : [],
      ),
    ),
    chance: items.reduce((sum, { choices }) => sum + 1 / choices.length, 0) / items.length,
  };
}

interface ScoreRow extends Pick<Score, 'group' | 'model'> {
  readonly of: (reading: Reading) => Score | undefined;
}

/** A row for each group of these tables and each model, with its score by a reading. */
export function scoreRows(
  { scores, models }: FaceXResults,
  ...tables: readonly Group['table'][]
): ScoreRow[] {
  const own = scores.filter(({ table }) => tables.includes(table));
  return [...new Set(own.map(({ group }) => group))].flatMap((group) =>
    models.map((model) => {
      const scored = own.filter((score) => score.group === group && score.model === model);
      return { group, model, of: (reading: Reading) => scored.find((s) => s.reading === reading) };
    }),
  );
}

/** Accuracies over all questions and by category, a row for each model, a column for each reading. */
export function mainTable(results: FaceXResults): string[][] {
  const readings = [...new Set(results.scores.map(({ reading }) => reading))];
  const rows = scoreRows(results, 'overall', 'category').map(({ group, model, of }) => {
    const scores = readings.map(of);
    const cells = scores.map((score) =>
      formatEstimate(score && { ...score, value: score.accuracy }),
    );
    return [group, model, String(scores.find((score) => score)?.total ?? 0), ...cells];
  });
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
