/**
 * Holds requests back so that a minute never sees more of them, or of their tokens, than the provider
 * allows. Requests are spread evenly: a burst at the start of a minute is what providers answer with
 * 429. One wait that a server asks for holds everybody.
 */

export interface RateLimits {
  readonly requestsPerMinute?: number | undefined;
  readonly tokensPerMinute?: number | undefined;
}

export interface Clock {
  /** Milliseconds; never goes back. */
  now(): number;
  /** Resolves later, or at once when the signal is raised; never rejects. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

export const SYSTEM_CLOCK: Clock = {
  now: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal.aborted) {
        resolve();
        return;
      }
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, Math.min(ms, 2 ** 31 - 1));
      signal.addEventListener('abort', done, { once: true });
    }),
};

const MINUTE_MS = 60_000;

export class RateLimiter {
  readonly #limits: RateLimits;
  readonly #clock: Clock;
  /** When the next request may start by the number of requests, and by their tokens. */
  #requestsFreeAt = -Infinity;
  #tokensFreeAt = -Infinity;
  #pausedUntil = -Infinity;
  /** Those who wait start in order. */
  #turn: Promise<void> = Promise.resolve();

  constructor(limits: RateLimits, clock: Clock = SYSTEM_CLOCK) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** Resolves when a request of about `tokens` may start; rejects with the signal's reason. */
  acquire(tokens: number, signal: AbortSignal): Promise<void> {
    const started = this.#turn.then(() => this.#start(tokens, signal));
    this.#turn = started.catch(() => {});
    return started;
  }

  /** Corrects what was assumed of a request's tokens by what it took. */
  settle(assumed: number, actual: number): void {
    this.#tokensFreeAt += this.#tokenTime(actual - assumed);
  }

  /** Nobody starts for this long. */
  pause(ms: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, this.#clock.now() + ms);
  }

  async #start(tokens: number, signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      const freeAt = Math.max(this.#requestsFreeAt, this.#tokensFreeAt, this.#pausedUntil);
      const wait = freeAt - this.#clock.now();
      if (wait <= 0) break;
      // Timers count whole milliseconds and may ring early.
      await this.#clock.sleep(Math.ceil(wait), signal);
    }
    const now = this.#clock.now();
    const { requestsPerMinute } = this.#limits;
    if (requestsPerMinute !== undefined) {
      this.#requestsFreeAt = Math.max(now, this.#requestsFreeAt) + MINUTE_MS / requestsPerMinute;
    }
    this.#tokensFreeAt = Math.max(now, this.#tokensFreeAt) + this.#tokenTime(tokens);
  }

  #tokenTime(tokens: number): number {
    const { tokensPerMinute } = this.#limits;
    return tokensPerMinute === undefined ? 0 : (tokens * MINUTE_MS) / tokensPerMinute;
  }
}
