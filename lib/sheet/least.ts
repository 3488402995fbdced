/** The items with the lowest scores of all that come, so many at most. */
export class Least<T> {
  readonly #most: number;
  /** Lowest first. */
  readonly #kept: { readonly item: T; readonly score: number }[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  get items(): readonly T[] {
    return this.#kept.map(({ item }) => item);
  }

  add(item: T, score: number): void {
    const kept = this.#kept;
    if (kept.length >= this.#most && score >= (kept.at(-1)?.score ?? 0)) return;
    let [low, high] = [0, kept.length];
    // Behind its equals: they stand in the order in which they came.
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((kept[middle]?.score ?? 0) <= score) low = middle + 1;
      else high = middle;
    }
    kept.splice(low, 0, { item, score });
    if (kept.length > this.#most) kept.pop();
  }
}
