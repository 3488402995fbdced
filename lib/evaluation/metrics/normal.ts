/**
 * The complementary error function to double precision, for McNemar's test: by its power series near 0 and by its
 * continued fraction in the tails (Abramowitz and Stegun 7.1.6, 7.1.14).
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
