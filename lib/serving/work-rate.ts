/** How fast requests are served, for telling how long those that wait will have to. */

/** After so long a measurement counts half. */
const HALF_LIFE_MS = 30_000;

export class WorkRate {
  readonly #now: () => number;
  #cost = 0;
  #busyMs = 0;
  #running = 0;
  #since = 0;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  begin(): void {
    this.#advance();
    this.#running++;
  }

  /** @param cost of the work that it was */
  end(cost: number): void {
    this.#advance();
    this.#running--;
    this.#cost += cost;
  }

  /** Milliseconds that so much work will take; 0 as long as nothing was measured. */
  wait(cost: number): number {
    this.#advance();
    return this.#cost === 0 ? 0 : (cost * this.#busyMs) / this.#cost;
  }

  /** Time in which nothing runs is no measurement. */
  #advance(): void {
    const now = this.#now();
    if (this.#running > 0) {
      const passed = now - this.#since;
      const kept = 0.5 ** (passed / HALF_LIFE_MS);
      this.#cost *= kept;
      this.#busyMs = this.#busyMs * kept + passed;
    }
    this.#since = now;
  }
}
