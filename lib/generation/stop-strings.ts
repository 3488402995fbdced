/** Ends a streamed text at the first stop string, holding back what might be the start of one. */

export class StopStrings {
  readonly #stops: readonly string[];
  #held = '';
  #found: string | undefined;

  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  get isStopped(): boolean {
    return this.#found !== undefined;
  }

  /** The one that ended the text; of several at one place the first given. */
  get found(): string | undefined {
    return this.#found;
  }

  /** The part of the text so far that can be shown: no stop string can begin in it any more. */
  push(piece: string): string {
    if (this.isStopped) return '';
    const text = this.#held + piece;
    const places = this.#stops.map((stop) => text.indexOf(stop));
    const first = Math.min(...places.filter((at) => at >= 0));
    if (Number.isFinite(first)) {
      this.#found = this.#stops[places.indexOf(first)];
      this.#held = '';
      return text.slice(0, first);
    }
    const kept = this.#longestStart(text);
    this.#held = text.slice(text.length - kept);
    return text.slice(0, text.length - kept);
  }

  /** What was held back and turned out to be no stop string. */
  finish(): string {
    const rest = this.#held;
    this.#held = '';
    return rest;
  }

  /** Length of the longest end of `text` that is a proper start of a stop string. */
  #longestStart(text: string): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let n = Math.min(stop.length - 1, text.length); n > longest; n--) {
        if (text.endsWith(stop.slice(0, n))) longest = n;
      }
    }
    return longest;
  }
}
