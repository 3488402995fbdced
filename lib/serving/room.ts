/** A bounded amount of something: who needs more than is left waits, in order. */

interface Waiter {
  readonly amount: number;
  start(): void;
}

export class Room {
  readonly #most: number;
  readonly #waiting: Waiter[] = [];
  #taken = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get taken(): number {
    return this.#taken;
  }

  /**
   * What is more than there can ever be is taken as all of it.
   *
   * @returns gives so much of it back, all that is left where nothing is said; what is given is given once
   * @throws the signal's reason
   */
  async take(wanted: number, signal: AbortSignal): Promise<(part?: number) => void> {
    signal.throwIfAborted();
    const amount = Math.min(wanted, this.#most);
    if (this.#waiting.length > 0 || this.#taken + amount > this.#most) {
      await this.#wait(amount, signal);
    } else this.#taken += amount;
    let left = amount;
    return (part = left) => {
      const given = Math.min(part, left);
      if (given <= 0) return;
      left -= given;
      this.#taken -= given;
      this.#next();
    };
  }

  #wait(amount: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        reject(signal.reason as Error);
        // It may have stood before one for whom there is room.
        this.#next();
      };
      const waiter: Waiter = {
        amount,
        start: () => {
          signal.removeEventListener('abort', leave);
          this.#taken += amount;
          resolve();
        },
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#waiting.push(waiter);
    });
  }

  #next(): void {
    for (;;) {
      const [first] = this.#waiting;
      if (first === undefined || this.#taken + first.amount > this.#most) return;
      this.#waiting.shift();
      first.start();
    }
  }
}
