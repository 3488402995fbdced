/** Learning rate of an update (docs/internvl3.md, section 11.2; transformers' get_scheduler). */
import type { TrainingRecipe } from './recipe.js';

export type ScheduleOptions = Pick<
  TrainingRecipe,
  'learningRate' | 'schedule' | 'warmupSteps' | 'warmupRatio'
>;

/** Updates of linear rise. */
export function warmupOf(options: ScheduleOptions, totalSteps: number): number {
  return options.warmupSteps > 0
    ? options.warmupSteps
    : Math.ceil(options.warmupRatio * totalSteps);
}

/** @param update counted from 0 */
export function learningRateAt(
  update: number,
  totalSteps: number,
  options: ScheduleOptions,
): number {
  const warmup = warmupOf(options, totalSteps);
  if (update < warmup) return (options.learningRate * update) / Math.max(1, warmup);
  if (options.schedule === 'constant') return options.learningRate;
  const progress = Math.min(1, (update - warmup) / Math.max(1, totalSteps - warmup));
  if (options.schedule === 'linear') return options.learningRate * (1 - progress);
  return options.learningRate * Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress)));
}
