/** How far a piece of work is, on a stream for people: a line redrawn on a terminal, a line now and then elsewhere. */

const REDRAW_MS = 100;
const ERASE = '\r\x1b[K';

export interface StatusLineOptions {
  readonly stream: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
  /** Between two lines where the stream is no terminal. @default 30 */
  readonly intervalSeconds?: number;
  /** Milliseconds of a clock that never goes back; for tests. */
  readonly now?: () => number;
}

export class StatusLine {
  readonly #stream: StatusLineOptions['stream'];
  readonly #intervalMs: number;
  readonly #now: () => number;
  #shownAt = -Infinity;
  /** On a terminal: the line that is redrawn stands there. */
  #isOpen = false;

  constructor({ stream, intervalSeconds = 30, now }: StatusLineOptions) {
    this.#stream = stream;
    this.#intervalMs = stream.isTTY ? REDRAW_MS : intervalSeconds * 1000;
    this.#now = now ?? (() => performance.now());
  }

  /** Whether the last line is old enough for another one. */
  get isDue(): boolean {
    return this.#now() - this.#shownAt >= this.#intervalMs;
  }

  /** The next line is due at once, as at the start of another piece of work. */
  restart(): void {
    this.#shownAt = -Infinity;
  }

  show(text: string): void {
    this.#shownAt = this.#now();
    const { isTTY, columns = 0 } = this.#stream;
    this.#isOpen = isTTY === true;
    // A line that wraps cannot be redrawn.
    const width = columns > 1 ? columns - 1 : text.length;
    this.#stream.write(isTTY ? `${ERASE}${text.slice(0, width)}` : `${text}\n`);
  }

  /** A line of its own, in place of the one that is redrawn, which comes back below it. */
  note(text: string): void {
    this.erase();
    this.#stream.write(`${text}\n`);
  }

  /** Takes the redrawn line away. */
  erase(): void {
    if (this.#isOpen) this.#stream.write(ERASE);
    this.#isOpen = false;
  }

  /** Leaves the line as it is to whatever is printed next. */
  finish(): void {
    if (this.#isOpen) this.#stream.write('\n');
    this.#isOpen = false;
  }
}
