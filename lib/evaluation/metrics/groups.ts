/** How far the best-served group is from the worst-served one. */

/**
 * Fewer items than this make a group small: its interval spans a quarter of the scale or more, so it is shown,
 * marked, and kept out of gaps, which it would decide by chance.
 */
export const SMALL_GROUP = 30;

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

/**
 * Largest difference between two groups, the first named among equals; undefined unless two groups that are
 * large enough have the figure.
 *
 * @param minCount smaller groups are left out
 */
export function largestGap(values: readonly GroupValue[], minCount: number): Gap | undefined {
  const eligible = values.flatMap(({ group, count, value }) =>
    count >= minCount && value !== undefined ? [{ group, value }] : [],
  );
  const [first, ...others] = eligible;
  if (first === undefined || others.length === 0) return undefined;
  const highest = others.reduce((a, b) => (b.value > a.value ? b : a), first);
  const lowest = others.reduce((a, b) => (b.value < a.value ? b : a), first);
  return { gap: highest.value - lowest.value, highest: highest.group, lowest: lowest.group };
}
