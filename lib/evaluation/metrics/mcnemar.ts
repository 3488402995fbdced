/**
 * McNemar's test: did two models differ on the same items, or does chance explain it? Only items that exactly
 * one of them got right count (Q. McNemar, Psychometrika 12, 1947).
 */
import { erfc } from './normal.js';

/**
 * Below this many discordant items the exact test is used. The χ² approximation is usually trusted from 25 on
 * (Edwards's continuity correction; A. L. Edwards, Psychometrika 13, 1948).
 */
const EXACT_BELOW = 25;

export interface McNemarResult {
  /** Exact: the smaller of the two counts. Else χ² with one degree of freedom, continuity corrected. */
  readonly statistic: number;
  /** Two-sided. */
  readonly pValue: number;
  /** Whether the binomial distribution itself was used. */
  readonly isExact: boolean;
}

/** P(X <= k) of X ~ Binomial(n, 1/2), for small n. */
function binomialHalf(k: number, n: number): number {
  let term = 2 ** -n;
  let sum = term;
  for (let i = 1; i <= k; i++) {
    term *= (n - i + 1) / i;
    sum += term;
  }
  return sum;
}

/**
 * Without discordant items there is no evidence of a difference: the p-value is 1.
 *
 * @param onlyFirst items that only the first model got right
 * @param onlySecond items that only the second model got right
 */
export function mcNemar(onlyFirst: number, onlySecond: number): McNemarResult {
  const discordant = onlyFirst + onlySecond;
  if (discordant < EXACT_BELOW) {
    const statistic = Math.min(onlyFirst, onlySecond);
    const pValue = Math.min(1, 2 * binomialHalf(statistic, discordant));
    return { statistic, pValue, isExact: true };
  }
  // The correction brings a difference nearer to none, never past it: equal counts give 0, not 1/n.
  const difference = Math.max(0, Math.abs(onlyFirst - onlySecond) - 1);
  const statistic = (difference * difference) / discordant;
  return { statistic, pValue: erfc(Math.sqrt(statistic / 2)), isExact: false };
}
