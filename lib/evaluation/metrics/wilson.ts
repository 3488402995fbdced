/**
 * Wilson's score interval of a proportion (E. B. Wilson, JASA 22, 1927): it stays within 0 and 1 and keeps its
 * promise with few trials, where the textbook interval p ± z·s shrinks to nothing at 0 and 1.
 */
import { isCount, refuse } from './check.js';
import { normalQuantile } from './normal.js';

export interface Interval {
  readonly low: number;
  readonly high: number;
}

export interface WilsonOptions {
  readonly successes: number;
  readonly total: number;
  /** Share of such intervals that hold the true proportion, 0 to 1 exclusive. @default 0.95 */
  readonly confidence?: number | undefined;
}

export const DEFAULT_CONFIDENCE = 0.95;

/** Two-sided; without trials it is all of 0 to 1. */
export function wilsonInterval(options: WilsonOptions): Interval {
  const { successes, total, confidence = DEFAULT_CONFIDENCE } = options;
  const problems: string[] = [];
  if (!isCount(total)) problems.push(`total: expected a whole number from 0, got ${total}`);
  if (!isCount(successes) || successes > total) {
    problems.push(`successes: expected a whole number from 0 to ${total}, got ${successes}`);
  }
  if (!(confidence > 0 && confidence < 1)) {
    problems.push(`confidence: expected a number between 0 and 1, got ${confidence}`);
  }
  refuse('wilsonInterval', problems);
  if (total === 0) return { low: 0, high: 1 };
  const z = normalQuantile((1 - confidence) / 2);
  const share = successes / total;
  const shrink = 1 + (z * z) / total;
  const centre = (share + (z * z) / (2 * total)) / shrink;
  const spread = share * (1 - share) + (z * z) / (4 * total);
  const half = (z / shrink) * Math.sqrt(spread / total);
  return {
    // Exact at the ends, where rounding would leave 1e-17.
    low: successes === 0 ? 0 : Math.max(0, centre - half),
    high: successes === total ? 1 : Math.min(1, centre + half),
  };
}
