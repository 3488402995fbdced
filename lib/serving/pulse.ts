/** Whether the engine gets on: its counters, asked for every second, so that `/health` need not wait for it. */
import type { NativeStats } from '../binding/native.js';
import type { FaceLlm } from '../model/index.js';

const INTERVAL_MS = 1000;

export class Pulse {
  readonly #model: FaceLlm;
  readonly #timer: NodeJS.Timeout;
  #stats: NativeStats | undefined;
  #isAsking = false;
  #progressAt = Date.now();

  constructor(model: FaceLlm) {
    this.#model = model;
    this.#timer = setInterval(() => void this.ask(), INTERVAL_MS);
    this.#timer.unref();
  }

  get stats(): NativeStats | undefined {
    return this.#stats;
  }

  /** When the engine had nothing to do, or had done something since it was asked before; milliseconds since 1970. */
  get progressAt(): number {
    return this.#progressAt;
  }

  async ask(): Promise<void> {
    if (this.#isAsking) return;
    this.#isAsking = true;
    try {
      const before = this.#stats;
      const now = await this.#model.stats();
      const isIdle = now.runningRows + now.waitingRequests === 0;
      if (isIdle || now.steps !== before?.steps) this.#progressAt = Date.now();
      this.#stats = now;
    } catch {
      // A model that was disposed of gets nowhere, which is what this tells.
    } finally {
      this.#isAsking = false;
    }
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
