/** Items sorted into groups, and how far the best-served group is from the worst-served one. */

/**
 * Fewer items than this make a group small: its interval spans a quarter of the scale or more, so it is shown,
 * marked, and kept out of gaps, which it would decide by chance.
 */
export const SMALL_GROUP = 30;

export interface Group<T> {
  readonly name: string;
  readonly items: readonly T[];
}

/** Sorted by name (code units, so that it is the same everywhere); items whose key is undefined are left out. */
export function groupBy<T>(
  items: readonly T[],
  keyOf: (item: T) => string | undefined,
): readonly Group<T>[] {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const name = keyOf(item);
    if (name === undefined) continue;
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [item]);
    else group.push(item);
  }
  return [...groups]
    .map(([name, members]) => ({ name, items: members }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

export interface GroupValue {
  readonly group: string;
  readonly count: number;
  /** undefined where the figure does not exist. */
  readonly value: number | undefined;
}

export interface Gap {
  readonly gap: number;
  readonly highest: string;
  readonly lowest: string;
}

export interface GapOptions {
  /** Smaller groups are left out. @default SMALL_GROUP */
  readonly minCount?: number | undefined;
}

/**
 * Largest difference between two groups, the first named among equals; undefined unless two groups that are
 * large enough have the figure.
 */
export function largestGap(
  values: readonly GroupValue[],
  options: GapOptions = {},
): Gap | undefined {
  const { minCount = SMALL_GROUP } = options;
  const eligible = values.flatMap(({ group, count, value }) =>
    count >= minCount && value !== undefined ? [{ group, value }] : [],
  );
  const [first, ...others] = eligible;
  if (first === undefined || others.length === 0) return undefined;
  const highest = others.reduce((a, b) => (b.value > a.value ? b : a), first);
  const lowest = others.reduce((a, b) => (b.value < a.value ? b : a), first);
  return { gap: highest.value - lowest.value, highest: highest.group, lowest: lowest.group };
}
