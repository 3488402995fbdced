/** Items told apart by their tags: groups in the order of their columns, crossed or not. */

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
