/** Ctrl-C: the first ends the job under way where it can be resumed, the second ends the process. */

/** The demo was interrupted; what is done is saved. */
export class Interrupted extends Error {}

/** A job of the package: a dataset, a training, an evaluation. */
export interface StoppableJob {
  stop(): void;
}

export class Interruption implements Disposable {
  #isWanted = false;
  #job: StoppableJob | undefined;
  readonly #onSignal: () => void;

  /** @param onFirst called once, when the demo begins to end */
  constructor(onFirst: () => void) {
    this.#onSignal = () => {
      if (this.#isWanted) process.exit(130);
      this.#isWanted = true;
      onFirst();
      this.#job?.stop();
    };
    process.on('SIGINT', this.#onSignal);
    process.on('SIGTERM', this.#onSignal);
  }

  /** @throws Interrupted if the user wants to end */
  check(): void {
    if (this.#isWanted) throw new Interrupted('interrupted');
  }

  /**
   * Waits for a job, which a signal stops.
   *
   * @throws Interrupted if it was stopped, whatever it came to; what the job rejects with
   */
  async during<Result>(
    job: StoppableJob & PromiseLike<Result>,
    watch: () => Promise<void>,
  ): Promise<Result> {
    this.check();
    this.#job = job;
    try {
      await watch();
      const result = await job;
      this.check();
      return result;
    } catch (error) {
      this.check();
      throw error;
    } finally {
      this.#job = undefined;
    }
  }

  [Symbol.dispose](): void {
    process.off('SIGINT', this.#onSignal);
    process.off('SIGTERM', this.#onSignal);
  }
}
