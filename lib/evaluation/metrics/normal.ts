/**
 * The normal distribution to double precision, for intervals and tests: the complementary error function by
 * its power series near 0 and by its continued fraction in the tails (Abramowitz and Stegun 7.1.6, 7.1.14),
 * and quantiles by Newton's method on it.
 */

/** Below it the series needs fewer terms than the fraction, and cancels nothing that matters. */
const SERIES_LIMIT = 2.5;
/** Enough for double precision from SERIES_LIMIT on. */
const FRACTION_TERMS = 80;

/** erf by its series of positive terms: x e^(-x²) 2/√π Σ (2x²)^n / (1·3·5···(2n+1)). */
function erfSeries(x: number): number {
  let term = 1;
  let sum = 1;
  for (let n = 1; term > sum * Number.EPSILON; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * x * Math.exp(-x * x) * sum;
}

/** erfc of a large x: e^(-x²)/√π · 1/(x + (1/2)/(x + 1/(x + (3/2)/(x + …)))), from the inside out. */
function erfcFraction(x: number): number {
  let denominator = x;
  for (let k = FRACTION_TERMS; k >= 1; k--) denominator = x + k / 2 / denominator;
  return Math.exp(-x * x) / Math.sqrt(Math.PI) / denominator;
}

/** 1 - erf(x); in the tails without loss of relative precision. */
export function erfc(x: number): number {
  if (x < 0) return 2 - erfc(-x);
  return x < SERIES_LIMIT ? 1 - erfSeries(x) : erfcFraction(x);
}

/** P(X > x) of a standard normal X. */
export function normalTail(x: number): number {
  return erfc(x / Math.SQRT2) / 2;
}

/** The z that a standard normal exceeds with probability `tail`, 0 < tail < 1; to about 1e-14. */
export function normalQuantile(tail: number): number {
  if (tail > 0.5) return -normalQuantile(1 - tail);
  // Newton on log P(X > z), which is concave: it comes down to the root from an upper bound of it, since
  // P(X > z) <= e^(-z²/2) / 2, and never passes it.
  let z = Math.sqrt(-2 * Math.log(2 * tail));
  for (let step = 0; step < 100; step++) {
    const reached = normalTail(z);
    const density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
    const change = (Math.log(reached / tail) * reached) / density;
    z += change;
    if (Math.abs(change) <= 1e-15 * Math.max(1, z)) break;
  }
  return z;
}
