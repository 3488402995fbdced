/** The curves of a run's plots: smoothing as in LLaMA-Factory, thinning for up to 100,000 points. */

export interface CurvePoint {
  readonly step: number;
  readonly value: number;
}

/**
 * Exponential moving average of LLaMA-Factory's plot (`smooth` in src/llamafactory/extras/ploting.py):
 * the more points, the smoother, up to a weight of 0.9 on the past.
 */
export function smooth(values: readonly number[]): number[] {
  const weight = 1.8 * (1 / (1 + Math.exp(-0.05 * values.length)) - 0.5);
  let last = values[0] ?? 0;
  return values.map((value) => (last = weight * last + (1 - weight) * value));
}

/**
 * At most `limit` points, in order: the lowest and the highest of each of `limit / 2` equal runs, so
 * that every spike stays. Strides would lose them.
 */
export function thin(points: readonly CurvePoint[], limit: number): readonly CurvePoint[] {
  if (points.length <= limit) return points;
  const runs = Math.floor(limit / 2);
  return Array.from({ length: runs }, (_, i) => {
    const start = Math.floor((i * points.length) / runs);
    const run = points.slice(start, Math.floor(((i + 1) * points.length) / runs));
    const lowest = run.reduce((best, point) => (point.value < best.value ? point : best));
    const highest = run.reduce((best, point) => (point.value > best.value ? point : best));
    if (lowest === highest) return [lowest];
    return lowest.step < highest.step ? [lowest, highest] : [highest, lowest];
  }).flat();
}
