/**
 * Questions in batches, planned once over all of them: neither the number of processes nor an
 * interruption changes which questions are computed together, so neither changes an answer.
 */
import type { EvaluationItem } from '../types.js';

/** Indices into the items. */
export type Batch = readonly number[];

/** Cuts the items in order; questions about the same pictures stay together as far as they fit. */
export function planBatches(items: readonly EvaluationItem[], batchSize: number): Batch[] {
  const batches: number[][] = [];
  let open: number[] = [];
  for (let start = 0; start < items.length;) {
    const end = Math.min(endOfRun(items, start), start + batchSize);
    if (open.length + (end - start) > batchSize) {
      batches.push(open);
      open = [];
    }
    for (let i = start; i < end; i++) open.push(i);
    start = end;
  }
  if (open.length > 0) batches.push(open);
  return batches;
}

/** First item after `start` with other pictures. */
function endOfRun(items: readonly EvaluationItem[], start: number): number {
  const key = (i: number): string => JSON.stringify(items[i]?.images);
  let end = start + 1;
  while (end < items.length && key(end) === key(start)) end++;
  return end;
}
