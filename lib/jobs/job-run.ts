/** A long job under way: await it for its result, iterate over it for its events, stop it gracefully. */

interface Reader<Event> {
  readonly queue: Event[];
  wake: (() => void) | undefined;
}

export class JobRun<Event, Result> implements AsyncIterable<Event>, PromiseLike<Result> {
  readonly #result: Promise<Result>;
  readonly #readers = new Set<Reader<Event>>();
  readonly #stopping = new AbortController();
  #isOver = false;

  constructor(work: (run: JobRun<Event, Result>) => Promise<Result>) {
    // After the caller had a chance to start iterating. Nobody else listens to the result: a failure that is neither
    // awaited nor iterated over is an unhandled rejection, as any promise's.
    this.#result = Promise.resolve()
      .then(() => work(this))
      .finally(() => {
        this.#isOver = true;
        for (const reader of this.#readers) reader.wake?.();
      });
  }

  /** Ends the job at the next point that it can be resumed from, with all that is done. Idempotent. */
  stop(): void {
    this.#stopping.abort();
  }

  get isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** Raised by `stop()`; for work that waits. */
  get stopSignal(): AbortSignal {
    return this.#stopping.signal;
  }

  /** For the job itself. */
  emit(event: Event): void {
    for (const reader of this.#readers) {
      reader.queue.push(event);
      reader.wake?.();
    }
  }

  then<A = Result, B = never>(
    onFulfilled?: ((result: Result) => A | PromiseLike<A>) | null,
    onRejected?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#result.then(onFulfilled, onRejected);
  }

  /** Events from now on; leaving the loop leaves the job going. Throws what the job rejects with. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Event, void, undefined> {
    const reader: Reader<Event> = { queue: [], wake: undefined };
    this.#readers.add(reader);
    // The loop throws it.
    this.#result.catch(() => undefined);
    try {
      for (;;) {
        const event = reader.queue.shift();
        if (event !== undefined) {
          yield event;
        } else if (this.#isOver) {
          await this.#result;
          return;
        } else {
          await new Promise<void>((resolve) => (reader.wake = resolve));
        }
      }
    } finally {
      this.#readers.delete(reader);
    }
  }
}
