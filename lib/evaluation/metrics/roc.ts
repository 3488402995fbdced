/**
 * The receiver operating characteristic of a verification score: at each threshold, which share of genuine
 * pairs matches (true match rate) and which share of impostor pairs does (false match rate).
 */
export interface ScoredPair {
  /** Higher: more alike. */
  readonly score: number;
  readonly isGenuine: boolean;
}

export interface RocPoint {
  /** Pairs with this score or a higher one match; Infinity: none does. */
  readonly threshold: number;
  readonly trueMatches: number;
  /** False match rate. */
  readonly fmr: number;
  /** True match rate. */
  readonly tmr: number;
}

export interface Roc {
  readonly genuine: number;
  readonly impostor: number;
  /**
   * From no matches to all of them, one point for each different score: pairs that tie match together. Empty
   * unless there are pairs of both kinds.
   */
  readonly points: readonly RocPoint[];
}

/** How many pairs have each score: what a ROC curve depends on. */
export interface ScoreCounts {
  /** Every score that occurs, highest first. */
  readonly scores: readonly number[];
  readonly genuine: ArrayLike<number>;
  readonly impostor: ArrayLike<number>;
}

export function countScores(pairs: readonly ScoredPair[]): ScoreCounts {
  const scores = [...new Set(pairs.map(({ score }) => score))].sort((a, b) => b - a);
  const placeOf = new Map(scores.map((score, place) => [score, place]));
  const genuine = new Array<number>(scores.length).fill(0);
  const impostor = new Array<number>(scores.length).fill(0);
  for (const { score, isGenuine } of pairs) {
    const counts = isGenuine ? genuine : impostor;
    const place = placeOf.get(score) ?? 0;
    counts[place] = (counts[place] ?? 0) + 1;
  }
  return { scores, genuine, impostor };
}

function sum(values: ArrayLike<number>): number {
  return Array.from(values).reduce((total, value) => total + value, 0);
}

/** The curve of counted scores; scores that no pair has (any more) make no point. */
export function rocOfCounts(counts: ScoreCounts): Roc {
  const genuine = sum(counts.genuine);
  const impostor = sum(counts.impostor);
  if (genuine === 0 || impostor === 0) return { genuine, impostor, points: [] };
  const points: RocPoint[] = [{ threshold: Infinity, trueMatches: 0, fmr: 0, tmr: 0 }];
  let falseMatches = 0;
  let trueMatches = 0;
  for (const [place, threshold] of counts.scores.entries()) {
    const newTrue = counts.genuine[place] ?? 0;
    const newFalse = counts.impostor[place] ?? 0;
    if (newTrue + newFalse === 0) continue;
    trueMatches += newTrue;
    falseMatches += newFalse;
    const fmr = falseMatches / impostor;
    const tmr = trueMatches / genuine;
    points.push({ threshold, trueMatches, fmr, tmr });
  }
  return { genuine, impostor, points };
}

export function rocCurve(pairs: readonly ScoredPair[]): Roc {
  return rocOfCounts(countScores(pairs));
}

/** Area under the curve: chance of a genuine pair outscoring an impostor pair, ties half. */
export function areaUnderRoc({ points }: Roc): number | undefined {
  if (points.length === 0) return undefined;
  return points.reduce((area, { fmr, tmr }, i) => {
    const before = points[i - 1];
    return before === undefined ? area : area + ((fmr - before.fmr) * (tmr + before.tmr)) / 2;
  }, 0);
}
