/** Results of slow work by key, made once, the oldest given up when all together take too many bytes. */
export class ByteCache<T> {
  readonly #capacity: number;
  readonly #bytesOf: (value: T) => number;
  readonly #kept = new Map<string, Promise<T>>();
  /** Of those that are made, oldest first. */
  readonly #sizes = new Map<string, number>();
  #bytes = 0;

  /** @param capacity in bytes, as `bytesOf` counts them */
  constructor(capacity: number, bytesOf: (value: T) => number) {
    this.#capacity = capacity;
    this.#bytesOf = bytesOf;
  }

  /** A failure is not kept. */
  get(key: string, make: () => Promise<T>): Promise<T> {
    const known = this.#kept.get(key);
    if (known !== undefined) return known;
    const made = make();
    this.#kept.set(key, made);
    made.then(
      (value) => this.#count(key, this.#bytesOf(value)),
      () => this.#kept.delete(key),
    );
    return made;
  }

  #count(key: string, bytes: number): void {
    this.#sizes.set(key, bytes);
    this.#bytes += bytes;
    while (this.#bytes > this.#capacity) {
      const [oldest] = this.#sizes;
      if (oldest === undefined) return;
      this.#kept.delete(oldest[0]);
      this.#sizes.delete(oldest[0]);
      this.#bytes -= oldest[1];
    }
  }
}
