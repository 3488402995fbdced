import type { UpdateOutcome } from './updates.js';

/** What this process has done of a run since it began or went on, and how fast. */
export class RunTotals {
  readonly #startedAt = performance.now();
  #samples = 0;
  #tokens = 0;
  #computedTokens = 0;
  #peakBytes = 0;

  add({ samples, tokens, computedTokens, peakBytes }: UpdateOutcome): void {
    this.#samples += samples;
    this.#tokens += tokens;
    this.#computedTokens += computedTokens;
    this.#peakBytes = Math.max(this.#peakBytes, peakBytes);
  }

  get seconds(): number {
    return Math.max((performance.now() - this.#startedAt) / 1000, 1e-9);
  }

  get samplesPerSecond(): number {
    return this.#samples / this.seconds;
  }

  get tokensPerSecond(): number {
    return this.#tokens / this.seconds;
  }

  /** Of the tokens, where beginnings are shared. */
  get computedShare(): number {
    return this.#tokens === 0 ? 1 : this.#computedTokens / this.#tokens;
  }

  get peakBytes(): number {
    return this.#peakBytes;
  }
}
