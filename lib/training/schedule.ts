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

/** The first update of the fall that ends a run, and the one behind its last; the same where there is none. */
function fallOf(
  { cooldown }: Pick<ScheduleOptions, 'cooldown'>,
  totalSteps: number,
  endedAt: number | null,
): { readonly from: number; readonly end: number } {
  const length = Math.ceil(cooldown * totalSteps);
  const latest = totalSteps - length;
  const from = Math.min(endedAt ?? latest, latest);
  return { from, end: from + length };
}

/**
 * How many updates a run makes.
 *
 * @param endedAt updates after which waiting for a better validation ended; null: it has not
 */
export function lastStepOf(
  options: Pick<ScheduleOptions, 'cooldown'>,
  totalSteps: number,
  endedAt: number | null,
): number {
  return fallOf(options, totalSteps, endedAt).end;
}

/**
 * @param update counted from 0
 * @param totalSteps of the whole plan, however early the run ends
 */
export function learningRateAt(
  update: number,
  totalSteps: number,
  options: ScheduleOptions,
  endedAt: number | null = null,
): number {
  const warmup = warmupOf(options, totalSteps);
  if (update < warmup) return (options.learningRate * update) / Math.max(1, warmup);
  if (options.schedule === 'constant') {
    const { from, end } = fallOf(options, totalSteps, endedAt);
    return update < from
      ? options.learningRate
      : (options.learningRate * (end - update)) / (end - from);
  }
  const progress = Math.min(1, (update - warmup) / Math.max(1, totalSteps - warmup));
  if (options.schedule === 'linear') return options.learningRate * (1 - progress);
  return options.learningRate * Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress)));
}
