/** Medians, and the interval of a median of paired ratios by bootstrap. */

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? NaN)) / 2;
}

export interface Interval {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/** 95 % interval from 2,000 resamples, with a fixed generator so that a report can be recomputed. */
export function bootstrap(values: readonly number[]): Interval {
  let state = 12345;
  const next = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  const medians = Array.from({ length: 2000 }, () =>
    median(values.map(() => values[Math.floor(next() * values.length)] ?? NaN)),
  ).sort((a, b) => a - b);
  return { median: median(values), low: medians[50] ?? NaN, high: medians[1949] ?? NaN };
}
