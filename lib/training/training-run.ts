/** A run under way: await it for its result, iterate over it for its events. */
import type { TrainingEvent, TrainingResult } from './events.js';

interface Reader {
  readonly queue: TrainingEvent[];
  wake: (() => void) | undefined;
}

export class TrainingRun implements AsyncIterable<TrainingEvent>, PromiseLike<TrainingResult> {
  readonly #result: Promise<TrainingResult>;
  readonly #readers = new Set<Reader>();
  #isStopping = false;
  #isOver = false;

  constructor(work: (run: TrainingRun) => Promise<TrainingResult>) {
    // After the caller had a chance to start iterating.
    this.#result = Promise.resolve().then(() => work(this));
    const over = (): void => {
      this.#isOver = true;
      for (const reader of this.#readers) reader.wake?.();
    };
    this.#result.then(over, over);
  }

  /** Ends the run after the update under way, with a checkpoint to resume from. Idempotent. */
  stop(): void {
    this.#isStopping = true;
  }

  get isStopping(): boolean {
    return this.#isStopping;
  }

  /** For the training loop. */
  emit(event: TrainingEvent): void {
    for (const reader of this.#readers) {
      reader.queue.push(event);
      reader.wake?.();
    }
  }

  then<A = TrainingResult, B = never>(
    onFulfilled?: ((result: TrainingResult) => A | PromiseLike<A>) | null,
    onRejected?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#result.then(onFulfilled, onRejected);
  }

  /** Events from now on; leaving the loop leaves the run going. Throws what the run rejects with. */
  async *[Symbol.asyncIterator](): AsyncGenerator<TrainingEvent, void, undefined> {
    const reader: Reader = { queue: [], wake: undefined };
    this.#readers.add(reader);
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
