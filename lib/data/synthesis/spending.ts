/**
 * The account of a run. Before a request starts, the most that it can cost is reserved; the request is
 * held back while that would pass the limit. So the limit holds whatever the answers turn out to cost.
 */
import type { TokenUsage } from '../teachers/exchange.js';
import type { TokenPrices } from '../teachers/teacher.js';

const MILLION = 1e6;

export function costOf(
  { promptTokens, completionTokens }: TokenUsage,
  prices: TokenPrices,
): number {
  return (promptTokens * prices.input + completionTokens * prices.output) / MILLION;
}

export interface Spending {
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** US dollars for answers that came, used or not. */
  readonly cost: number;
  /** US dollars that may have been charged for answers that never came: time limits, torn connections, kills. */
  readonly possiblyLost: number;
}

export class Account {
  readonly #limit: number;
  #promptTokens = 0;
  #completionTokens = 0;
  #cost = 0;
  #possiblyLost = 0;
  #reserved = 0;
  /** Reservations held: their sum is no exact zero again. */
  #holders = 0;
  #waiting: (() => void)[] = [];

  /** @param limit in US dollars; undefined for none */
  constructor(limit: number | undefined) {
    this.#limit = limit ?? Infinity;
  }

  get spending(): Spending {
    return {
      promptTokens: this.#promptTokens,
      completionTokens: this.#completionTokens,
      cost: this.#cost,
      possiblyLost: this.#possiblyLost,
    };
  }

  /** US dollars that may still be reserved. */
  get left(): number {
    return this.#limit - this.#cost - this.#possiblyLost - this.#reserved;
  }

  /**
   * Reserves once the money is there; false if it never will be: nothing under way can give any back.
   * Waiting ends with false when the signal is raised.
   */
  async reserve(most: number, signal: AbortSignal): Promise<boolean> {
    const wake = (): void => this.#wakeAll();
    signal.addEventListener('abort', wake, { once: true });
    try {
      // A billionth of a cent for the rounding of sums.
      while (most > this.left + 1e-11) {
        if (this.#holders === 0 || signal.aborted) return false;
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
      }
    } finally {
      signal.removeEventListener('abort', wake);
    }
    this.#holders++;
    this.#reserved += most;
    return true;
  }

  /** Reserves whatever the limit is: the request is on its way already. */
  commit(most: number): void {
    this.#holders++;
    this.#reserved += most;
  }

  /** Gives a reservation back without a charge. */
  release(most: number): void {
    this.#holders--;
    this.#reserved = this.#holders === 0 ? 0 : this.#reserved - most;
    this.#wakeAll();
  }

  charge(usage: TokenUsage | undefined, cost: number): void {
    this.#promptTokens += usage?.promptTokens ?? 0;
    this.#completionTokens += usage?.completionTokens ?? 0;
    this.#cost += cost;
  }

  chargePossible(cost: number): void {
    this.#possiblyLost += cost;
  }

  #wakeAll(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}
