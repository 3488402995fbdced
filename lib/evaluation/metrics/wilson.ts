/**
 * Wilson's score interval of a proportion (E. B. Wilson, JASA 22, 1927): it stays within 0 and 1 and keeps its
 * promise with few trials, where the textbook interval p ± z·s shrinks to nothing at 0 and 1.
 */

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** Share of intervals that hold the true figure: of all intervals of all reports. */
export const CONFIDENCE = 0.95;
/** What a standard normal exceeds with probability (1 - {@link CONFIDENCE}) / 2. */
const Z = 1.959963984540054;

/** Two-sided; without trials it is all of 0 to 1. */
export function wilsonInterval(successes: number, total: number): Interval {
  if (total === 0) return { low: 0, high: 1 };
  const share = successes / total;
  const shrink = 1 + (Z * Z) / total;
  const centre = (share + (Z * Z) / (2 * total)) / shrink;
  const spread = share * (1 - share) + (Z * Z) / (4 * total);
  const half = (Z / shrink) * Math.sqrt(spread / total);
  return {
    // Exact at the ends, where rounding would leave 1e-17.
    low: successes === 0 ? 0 : Math.max(0, centre - half),
    high: successes === total ? 1 : Math.min(1, centre + half),
  };
}
