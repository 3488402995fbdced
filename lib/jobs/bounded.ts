/** Work on many items with a bound on how many are under way. */

/** Enough to keep libuv's threads and the disk busy, also on a network drive, without opening thousands of files. */
export const FILES_AT_ONCE = 16;

/**
 * As `Promise.all(items.map(work))`, at most `limit` at a time. The first failure stops new work, and is thrown when what
 * is under way has ended.
 */
export async function mapBounded<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = new Array<R>(items.length);
  const errors: unknown[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length && errors.length === 0) {
      const index = next++;
      try {
        results[index] = await work(items[index] as T);
      } catch (error) {
        errors.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  if (errors.length > 0) throw errors[0];
  return results;
}

/** Yields results in order while up to `ahead` later ones are being made. */
export async function* prefetch<T, R>(
  items: Iterable<T>,
  ahead: number,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R, void, undefined> {
  const pending: Promise<R>[] = [];
  const iterator = items[Symbol.iterator]();
  const start = (): void => {
    const item = iterator.next();
    if (item.done === true) return;
    const result = work(item.value);
    // Reported when its turn comes; until then it is no unhandled rejection.
    result.catch(() => undefined);
    pending.push(result);
  };
  for (let i = 0; i <= ahead; i++) start();
  for (let first = pending.shift(); first !== undefined; first = pending.shift()) {
    yield await first;
    start();
  }
}

/** Lets at most `limit` pieces of work run at a time, the others wait in the order in which they came. */
export class Gate {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(limit: number) {
    this.#free = limit;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}
