/** Figures of each group of pictures, and how far apart groups are. */
import { type Gap, groupBy, largestGap } from '../metrics/index.js';
import {
  FIGURE_NAMES,
  type FigureName,
  type Figures,
  figuresOf,
  type ScoredAnswer,
} from './figures.js';

export interface GroupFigures {
  /** Values of the grouping's columns, in their order. */
  readonly values: readonly string[];
  /** The values, joined. */
  readonly name: string;
  readonly isSmall: boolean;
  readonly figures: Figures;
}

export interface Grouping {
  /** Columns: `['race']`, `['race', 'gender', 'age']`. */
  readonly by: readonly string[];
  /** Pictures of which one of them is not known. */
  readonly unknown: number;
  readonly groups: readonly GroupFigures[];
  /** Largest difference between two groups that are not small. */
  readonly gaps: Readonly<Partial<Record<FigureName, Gap>>>;
}

/** A tag to group by. */
export interface GroupColumn {
  readonly name: string;
  /** Of its values; values not named follow by name. */
  readonly order: readonly string[];
}

export interface GroupingOptions {
  readonly groups: readonly GroupColumn[];
  /** Groups of fewer pictures are small. */
  readonly smallGroup: number;
  readonly classCount: number;
  readonly isOrdinal: boolean;
  readonly confidence: number;
}

const SEPARATOR = ' · ';

/** Orders groups by their first value that differs. */
export function compareValues(
  a: readonly string[],
  b: readonly string[],
  by: readonly GroupColumn[],
): number {
  for (const [place, { order }] of by.entries()) {
    const [first = '', second = ''] = [a[place], b[place]];
    if (first === second) continue;
    const ranks = [first, second].map((value) => {
      const rank = order.indexOf(value);
      return rank === -1 ? order.length : rank;
    });
    const [firstRank = 0, secondRank = 0] = ranks;
    if (firstRank !== secondRank) return firstRank - secondRank;
    return first < second ? -1 : 1;
  }
  return 0;
}

function gapsOf(groups: readonly GroupFigures[], minCount: number): Grouping['gaps'] {
  const gaps = FIGURE_NAMES.flatMap((figure) => {
    const values = groups.map(({ name, figures }) => ({
      group: name,
      count: figures.count,
      value: figures[figure]?.value,
    }));
    const gap = largestGap(values, { minCount });
    return gap === undefined ? [] : [[figure, gap] as const];
  });
  return Object.fromEntries(gaps);
}

function groupingOf(
  by: readonly GroupColumn[],
  answers: readonly ScoredAnswer[],
  options: GroupingOptions,
): Grouping {
  // As JSON, so that values that contain the separator stay apart.
  const known = groupBy(answers, ({ tags }) => {
    const values = by.map(({ name }) => tags[name]);
    return values.includes(undefined) ? undefined : JSON.stringify(values);
  });
  const groups = known
    .map(({ name, items }): GroupFigures => {
      const values = JSON.parse(name) as string[];
      return {
        values,
        name: values.join(SEPARATOR),
        isSmall: items.length < options.smallGroup,
        figures: figuresOf(items, { ...options, seed: undefined }),
      };
    })
    .sort((a, b) => compareValues(a.values, b.values, by));
  return {
    by: by.map(({ name }) => name),
    unknown: answers.length - known.reduce((sum, { items }) => sum + items.length, 0),
    groups,
    gaps: gapsOf(groups, options.smallGroup),
  };
}

/** Each column alone, and all of them crossed; groupings without a picture are left out. */
export function groupingsOf(
  answers: readonly ScoredAnswer[],
  options: GroupingOptions,
): readonly Grouping[] {
  const { groups } = options;
  const sets = [...groups.map((group) => [group]), ...(groups.length > 1 ? [groups] : [])];
  return sets
    .map((by) => groupingOf(by, answers, options))
    .filter((grouping) => grouping.groups.length > 0);
}
