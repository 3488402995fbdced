/** The best of a run's validations, and when waiting for a better one ends. */
export interface BestState {
  readonly best: { readonly step: number; readonly value: number } | null;
  /** Validations since the best one. */
  readonly sinceBest: number;
  /** Updates after which waiting ended, and with it the run or its constant rate (`cooldown`); null: it has not. */
  readonly endedAt: number | null;
}

export const NONE_YET: BestState = { best: null, sinceBest: 0, endedAt: null };

/** Losses are better when lower, all other metrics when higher. A value that is no number is never better. */
function isBetter(value: number, than: number, metric: string): boolean {
  if (Number.isNaN(value)) return false;
  return metric === 'loss' ? value < than : value > than;
}

/** @param patience validations without a better one that end waiting; 0: it never does */
export function afterValidation(
  state: BestState,
  step: number,
  value: number,
  { bestMetric, patience }: { readonly bestMetric: string; readonly patience: number },
): BestState {
  const { best, endedAt } = state;
  if (best === null || isBetter(value, best.value, bestMetric)) {
    return { best: { step, value }, sinceBest: 0, endedAt };
  }
  const sinceBest = state.sinceBest + 1;
  const isOver = patience > 0 && sinceBest >= patience;
  return { best, sinceBest, endedAt: endedAt ?? (isOver ? step : null) };
}
