/** Results of slow work by key, made once, the longest unused given up when all together take too many bytes. */
export class ByteCache<T> {
  readonly #capacity: number;
  readonly #bytesOf: (value: T) => number;
  readonly #kept = new Map<string, Promise<T>>();
  /** Of those that are made, longest unused first. */
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
    if (known !== undefined) {
      this.#touch(key);
      return known;
    }
    const made = make();
    this.#kept.set(key, made);
    made.then(
      (value) => {
        if (this.#kept.get(key) === made) this.#count(key, this.#bytesOf(value));
      },
      () => {
        if (this.#kept.get(key) === made) this.#kept.delete(key);
      },
    );
    return made;
  }

  /** Forgets all; what is being made goes on for those who wait for it. */
  clear(): void {
    this.#kept.clear();
    this.#sizes.clear();
    this.#bytes = 0;
  }

  #touch(key: string): void {
    const bytes = this.#sizes.get(key);
    if (bytes === undefined) return;
    this.#sizes.delete(key);
    this.#sizes.set(key, bytes);
  }

  #count(key: string, bytes: number): void {
    // One that fits nowhere is no reason to give up all others.
    if (bytes > this.#capacity) {
      this.#kept.delete(key);
      return;
    }
    this.#sizes.set(key, bytes);
    this.#bytes += bytes;
    for (const [oldest, size] of this.#sizes) {
      if (this.#bytes <= this.#capacity) return;
      this.#kept.delete(oldest);
      this.#sizes.delete(oldest);
      this.#bytes -= size;
    }
  }
}
