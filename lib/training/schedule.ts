/** Learning rate of an update (docs/internvl3.md, section 11.2; transformers' get_scheduler), and which is the last. */
import type { TrainingRecipe } from './recipe.js';

export type ScheduleOptions = Pick<
  TrainingRecipe,
  'learningRate' | 'schedule' | 'warmupSteps' | 'warmupRatio' | 'cooldown'
>;

/** Updates of linear rise. */
export function warmupOf(options: ScheduleOptions, totalSteps: number): number {
  return options.warmupSteps > 0
    ? options.warmupSteps
    : Math.ceil(options.warmupRatio * totalSteps);
}

/** Updates of the fall that ends a run. A share of whole updates is not rounded up by what its product is off. */
function cooldownOf({ cooldown }: Pick<ScheduleOptions, 'cooldown'>, totalSteps: number): number {
  return Math.ceil(cooldown * totalSteps - 1e-9);
}

/**
 * The first update of the fall, and the one behind its last; the same where there is none. It begins as late as it fits, or where
 * waiting for a better validation ended, but behind the rise.
 */
function fallOf(
  options: ScheduleOptions,
  totalSteps: number,
  endedAt: number | null,
): { readonly from: number; readonly end: number } {
  const length = cooldownOf(options, totalSteps);
  const latest = totalSteps - length;
  if (length === 0) return { from: endedAt ?? latest, end: endedAt ?? latest };
  const from = Math.min(Math.max(endedAt ?? latest, warmupOf(options, totalSteps)), latest);
  return { from, end: from + length };
}

/**
 * How many updates a run makes.
 *
 * @param endedAt updates after which waiting for a better validation ended; null: it has not
 */
export function lastStepOf(
  options: ScheduleOptions,
  totalSteps: number,
  endedAt: number | null,
): number {
  return fallOf(options, totalSteps, endedAt).end;
}

/**
 * @param update counted from 0
 * @param totalSteps of the whole plan, however early the run ends
 * @param endedAt as {@link lastStepOf} has it
 */
export function learningRateAt(
  update: number,
  totalSteps: number,
  options: ScheduleOptions,
  endedAt: number | null,
): number {
  const warmup = warmupOf(options, totalSteps);
  const rise = update / Math.max(1, warmup);
  if (options.schedule === 'constant') {
    const { from, end } = fallOf(options, totalSteps, endedAt);
    const fall = update < from || from === end ? 1 : Math.max(0, (end - update) / (end - from));
    return options.learningRate * (update < warmup ? Math.min(rise, fall) : fall);
  }
  if (update < warmup) return options.learningRate * rise;
  const progress = Math.min(1, (update - warmup) / Math.max(1, totalSteps - warmup));
  if (options.schedule === 'linear') return options.learningRate * (1 - progress);
  return options.learningRate * Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress)));
}
