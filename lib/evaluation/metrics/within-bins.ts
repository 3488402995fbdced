/** How near a prediction is where classes have an order, such as age brackets. */
import type { ClassifiedItem } from './confusion.js';

/** Items whose predicted class is at most `bins` steps from the true one; unread answers are not. */
export function withinBinsCount(items: readonly ClassifiedItem[], bins: number): number {
  return items.filter(
    ({ truth, predicted }) => predicted !== undefined && Math.abs(predicted - truth) <= bins,
  ).length;
}

/** Share of items at most one class off; undefined of no items. */
export function withinOneBinAccuracy(items: readonly ClassifiedItem[]): number | undefined {
  return items.length === 0 ? undefined : withinBinsCount(items, 1) / items.length;
}
