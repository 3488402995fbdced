import { LAST } from './figures.js';

/** The best of a run's validations, and when waiting for a better one ends. */
export interface BestState {
  /** Null before the first, and where the last weights are the result. */
  readonly best: { readonly step: number; readonly value: number } | null;
  /** Validations since the best one. */
  readonly sinceBest: number;
  /** Updates after which waiting ended, and with it the run or its constant rate (`cooldown`); null: it has not. */
  readonly endedAt: number | null;
}

export const NONE_YET: BestState = { best: null, sinceBest: 0, endedAt: null };

/** Losses are better when lower, all other metrics when higher; a value that is no number never is. */
function isBetter(value: number, than: number | undefined, metric: string): boolean {
  if (than === undefined) return !Number.isNaN(value);
  return metric === 'loss' ? value < than : value > than;
}

/** @param patience validations without a better one that end waiting; 0: it never does */
export function afterValidation(
  state: BestState,
  step: number,
  value: number,
  { bestMetric, patience }: { readonly bestMetric: string; readonly patience: number },
): BestState {
  if (bestMetric === LAST) return state;
  const { best, endedAt } = state;
  if (isBetter(value, best?.value, bestMetric)) {
    return { best: { step, value }, sinceBest: 0, endedAt };
  }
  const sinceBest = state.sinceBest + 1;
  const isOver = patience > 0 && sinceBest >= patience;
  return { best, sinceBest, endedAt: endedAt ?? (isOver ? step : null) };
}
