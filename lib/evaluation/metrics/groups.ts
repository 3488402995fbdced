/** How far the best-served group is from the worst-served one. */

/**
 * Fewer items than this make a group small: its interval spans a quarter of the scale or more, so it is shown,
 * marked, and kept out of gaps, which it would decide by chance.
 */
export const SMALL_GROUP = 30;

/** Bands of ages in their order, names by the alphabet. */
export const compareNames: (a: string, b: string) => number = new Intl.Collator('en', {
  numeric: true,
}).compare;

export interface Gap {
  readonly gap: number;
  readonly highest: string;
  readonly lowest: string;
}

/**
 * Largest difference between two groups, the first named among equals; undefined unless two groups that are not
 * small have the figure.
 *
 * @param valueOf undefined where the figure does not exist
 */
export function largestGap<G extends { readonly name: string; readonly isSmall: boolean }>(
  groups: readonly G[],
  valueOf: (group: G) => number | undefined,
): Gap | undefined {
  const eligible = groups.flatMap((group) => {
    const value = group.isSmall ? undefined : valueOf(group);
    return value === undefined ? [] : [{ group: group.name, value }];
  });
  const [first, ...others] = eligible;
  if (first === undefined || others.length === 0) return undefined;
  const highest = others.reduce((a, b) => (b.value > a.value ? b : a), first);
  const lowest = others.reduce((a, b) => (b.value < a.value ? b : a), first);
  return { gap: highest.value - lowest.value, highest: highest.group, lowest: lowest.group };
}
