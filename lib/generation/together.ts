/** Several requests of one call. */
import { setMaxListeners } from 'node:events';

/**
 * What `run` makes of each item, all under way at once.
 *
 * @throws the signal's reason when aborted, else the first failure, once the others have been stopped
 */
export async function together<T, R>(
  signal: AbortSignal | undefined,
  items: readonly T[],
  run: (item: T, place: number, signal: AbortSignal) => Promise<R>,
): Promise<readonly R[]> {
  signal?.throwIfAborted();
  const others = new AbortController();
  const any = signal === undefined ? others.signal : AbortSignal.any([signal, others.signal]);
  // One listener an item is no leak.
  setMaxListeners(0, any);
  const results = items.map((item, place) => run(item, place, any));
  try {
    return await Promise.all(results);
  } catch (error) {
    others.abort(error);
    await Promise.allSettled(results);
    throw error;
  }
}
