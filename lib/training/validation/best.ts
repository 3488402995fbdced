/** The best of a run's validations, and when to give up waiting for a better one. */
export interface BestState {
  readonly best: { readonly step: number; readonly value: number } | null;
  /** Validations since the best one. */
  readonly sinceBest: number;
  /** Whether the run ended for want of a better one. */
  readonly isOver: boolean;
}

export const NONE_YET: BestState = { best: null, sinceBest: 0, isOver: false };

/** Losses are better when lower, all other metrics when higher. A value that is no number is never better. */
function isBetter(value: number, than: number, metric: string): boolean {
  if (Number.isNaN(value)) return false;
  return metric === 'loss' ? value < than : value > than;
}

/** @param patience validations without a better one that end the run; 0: it goes on to its end */
export function afterValidation(
  state: BestState,
  step: number,
  value: number,
  { bestMetric, patience }: { readonly bestMetric: string; readonly patience: number },
): BestState {
  if (state.best === null || isBetter(value, state.best.value, bestMetric)) {
    return { best: { step, value }, sinceBest: 0, isOver: false };
  }
  const sinceBest = state.sinceBest + 1;
  return { ...state, sinceBest, isOver: patience > 0 && sinceBest >= patience };
}
