/** Items told apart by their tags: groups in the order of their columns, crossed or not. */
import type { TableRow } from '../report/document.js';

/** A tag to group by. */
export interface GroupColumn {
  readonly name: string;
  /** Of its values; values not named follow by name. */
  readonly order: readonly string[];
}

export interface TaggedGroup<T> {
  /** Values of the columns, in their order. */
  readonly values: readonly string[];
  /** The values, joined. */
  readonly name: string;
  readonly items: readonly T[];
}

const SEPARATOR = ' · ';

/** Orders groups by their first value that differs. */
function compareValues(
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

/** The groups that have items, and how many items have not all of the tags. */
export function groupItems<T extends { readonly tags: Readonly<Record<string, string>> }>(
  items: readonly T[],
  by: readonly GroupColumn[],
): { readonly groups: readonly TaggedGroup<T>[]; readonly unknown: number } {
  // By JSON, so that values that contain the separator stay apart.
  const known = new Map<string, TaggedGroup<T> & { readonly items: T[] }>();
  let unknown = 0;
  for (const item of items) {
    const values = by.flatMap(({ name }) => item.tags[name] ?? []);
    const key = JSON.stringify(values);
    const group = known.get(key) ?? { values, name: values.join(SEPARATOR), items: [] };
    if (values.length < by.length) unknown++;
    else known.set(key, group).get(key)?.items.push(item);
  }
  const groups = [...known.values()].sort((a, b) => compareValues(a.values, b.values, by));
  return { groups, unknown };
}

/** One model's figures by group, whatever they are. */
interface GroupedScore {
  readonly groupings: readonly {
    readonly by: string | readonly string[];
    readonly groups: readonly { readonly isSmall: boolean }[];
  }[];
}
type GroupingOf<S extends GroupedScore> = S['groupings'][number];

/** `race × gender`, of all groupings that any model has. */
export function groupingTitles(scores: readonly GroupedScore[]): string[] {
  const all = scores.flatMap(({ groupings }) => groupings.map(({ by }) => [by].flat().join(' × ')));
  return [...new Set(all)];
}

/** A model's grouping of that title. */
export function groupingBy<S extends GroupedScore>(
  score: S | undefined,
  title: string,
): GroupingOf<S> | undefined {
  return score?.groupings.find(({ by }) => [by].flat().join(' × ') === title);
}

/** A row for each group and model, those of small groups pale. */
export function groupRows<S extends GroupedScore>(
  scores: readonly S[],
  title: string,
  cellsOf: (group: GroupingOf<S>['groups'][number], score: S) => readonly string[],
): TableRow[] {
  const groups = scores.map((score) => groupingBy(score, title)?.groups ?? []);
  return (groups[0] ?? []).flatMap((_, i) =>
    scores.flatMap((score, k) => {
      const group = groups[k]?.[i];
      return group ? [{ cells: cellsOf(group, score), isMuted: group.isSmall }] : [];
    }),
  );
}
