/**
 * Requests that are ready and wait for the engine, or for the thread of the grammars. It takes those of all callers in turn,
 * each caller's by priority and then by arrival: the caller that has had the least work goes first. (Deficit round robin comes
 * to the same with a quantum to choose; this has none.) The engine itself answers whoever it is given at once.
 */

export interface QueuedRequest {
  /** Name of the key. */
  readonly caller: string;
  /** Tokens that it will likely take, prompt and answers. */
  readonly cost: number;
  /** Answers. */
  readonly rows: number;
  readonly priority: number;
  /** Goes in only where nobody else waits, and is counted by nobody. @default false */
  readonly isBackground?: boolean;
  readonly signal: AbortSignal;
}

interface Waiter extends QueuedRequest {
  readonly arrivedAt: number;
  start(): void;
}

/** One point of priority for so many milliseconds of waiting: nobody is overtaken for ever. */
const MS_PER_POINT = 5000;

export class FairQueue {
  readonly #mostRows: number;
  readonly #now: () => number;
  readonly #waiting: Waiter[] = [];
  /** Work that each caller has had, of those that have something here. */
  readonly #served = new Map<string, { cost: number; requests: number }>();
  /** Of whoever was let in last: a caller that comes back does not make up for its absence. */
  #level = 0;
  #rows = 0;

  /** @param mostRows answers that the engine is given at a time */
  constructor(mostRows: number, now: () => number = () => performance.now()) {
    this.#mostRows = mostRows;
    this.#now = now;
  }

  get waiting(): number {
    return this.#foreground.length;
  }

  get rows(): number {
    return this.#rows;
  }

  /** Work of those that wait. */
  get waitingCost(): number {
    return this.#foreground.reduce((sum, { cost }) => sum + cost, 0);
  }

  get #foreground(): readonly Waiter[] {
    return this.#waiting.filter(({ isBackground }) => isBackground !== true);
  }

  /**
   * Resolves when its turn has come.
   *
   * @returns to be called once the request has ended; idempotent
   * @throws the signal's reason
   */
  async enter(request: QueuedRequest): Promise<() => void> {
    const { signal, rows } = request;
    signal.throwIfAborted();
    if (request.isBackground !== true) this.#count(request);
    try {
      await new Promise<void>((resolve, reject) => {
        const leave = (): void => {
          this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
          reject(signal.reason as Error);
        };
        const waiter: Waiter = {
          ...request,
          arrivedAt: this.#now(),
          start: () => {
            signal.removeEventListener('abort', leave);
            resolve();
          },
        };
        signal.addEventListener('abort', leave, { once: true });
        this.#waiting.push(waiter);
        this.#next();
      });
    } catch (error) {
      this.#forget(request);
      throw error;
    }
    let isIn = true;
    return () => {
      if (!isIn) return;
      isIn = false;
      this.#rows -= rows;
      this.#forget(request);
      this.#next();
    };
  }

  #count({ caller }: QueuedRequest): void {
    const account = this.#served.get(caller) ?? { cost: this.#level, requests: 0 };
    account.requests++;
    this.#served.set(caller, account);
  }

  #forget({ caller, isBackground }: QueuedRequest): void {
    if (isBackground === true) return;
    const account = this.#served.get(caller);
    if (account !== undefined && --account.requests === 0) this.#served.delete(caller);
  }

  #next(): void {
    for (;;) {
      const waiter = this.#first();
      // One with more rows than there are goes when nobody else is in.
      const fits = waiter && (this.#rows === 0 || this.#rows + waiter.rows <= this.#mostRows);
      if (waiter === undefined || fits !== true) return;
      this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
      const account = this.#served.get(waiter.caller);
      if (account !== undefined && waiter.isBackground !== true) {
        this.#level = account.cost;
        account.cost += waiter.cost;
      }
      this.#rows += waiter.rows;
      waiter.start();
    }
  }

  /** Nobody overtakes one that does not fit: it is not long until it does. */
  #first(): Waiter | undefined {
    const now = this.#now();
    const rank = ({ priority, arrivedAt }: Waiter): number =>
      priority + (now - arrivedAt) / MS_PER_POINT;
    const served = ({ caller }: Waiter): number => this.#served.get(caller)?.cost ?? 0;
    const before = this.#foreground;
    const all = before.length > 0 ? before : this.#waiting;
    return all.reduce<Waiter | undefined>((best, one) => {
      if (best === undefined) return one;
      const difference = served(one) - served(best);
      if (difference !== 0) return difference < 0 ? one : best;
      return rank(one) > rank(best) ? one : best;
    }, undefined);
  }
}
