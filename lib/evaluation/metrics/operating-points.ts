/** Single figures of a ROC curve: the equal error rate, and the true match rate at a given false match rate. */
import type { Roc } from './roc.js';
import { type Interval, wilsonInterval } from './wilson.js';

/**
 * The error rate at which as many impostors match as genuine pairs do not: where the curve, its points joined
 * by straight lines, crosses fmr = 1 - tmr. undefined unless there are pairs of both kinds.
 */
export function equalErrorRate({ points }: Roc): number | undefined {
  for (const [i, { fmr, tmr }] of points.entries()) {
    const excess = fmr - (1 - tmr);
    if (excess < 0) continue;
    const before = points[i - 1];
    if (before === undefined) return fmr;
    // Both rates rise along the curve, and the first point lies below the crossing.
    const missing = 1 - before.tmr - before.fmr;
    const share = missing / (missing + excess);
    return before.fmr + share * (fmr - before.fmr);
  }
  return undefined;
}

export interface OperatingPoint {
  /** The false match rate that was asked for. */
  readonly maxFmr: number;
  /** What it is at the threshold found, at most `maxFmr`. */
  readonly fmr: number;
  readonly tmr: number;
  /** Wilson's, of the true match rate at this threshold; the threshold's own uncertainty is not in it. */
  readonly interval: Interval;
  readonly threshold: number;
  /** Enough impostors for one false match to stay within `maxFmr`; else the figure is that of FMR 0. */
  readonly isResolved: boolean;
}

/**
 * The highest true match rate of any threshold whose false match rate is at most `maxFmr`: what a deployment
 * could have, without interpolation. undefined unless there are pairs of both kinds.
 */
export function tmrAtFmr(roc: Roc, maxFmr: number): OperatingPoint | undefined {
  const best = roc.points.findLast(({ fmr }) => fmr <= maxFmr);
  if (best === undefined) return undefined;
  return {
    maxFmr,
    fmr: best.fmr,
    tmr: best.tmr,
    interval: wilsonInterval(best.trueMatches, roc.genuine),
    threshold: best.threshold,
    isResolved: maxFmr === 0 || 1 / roc.impostor <= maxFmr,
  };
}
