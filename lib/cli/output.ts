/** What the commands print: data on stdout, everything else on stderr. */
import { FaceLlmError } from '../errors.js';
import type { ModelWarning } from '../model/index.js';
import { StatusLine } from '../progress/index.js';

export interface Console {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean };
}

/** Message, details one a line, code; the stack only with FACELLM_DEBUG. */
export function describeError(error: unknown, env: NodeJS.ProcessEnv = process.env): string {
  if (!(error instanceof FaceLlmError)) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  const shown = error.details.slice(0, 50).map((detail) => `  - ${detail}`);
  const hidden = error.details.length - shown.length;
  if (hidden > 0) shown.push(`  - and ${hidden} more`);
  const lines = [`facellm: ${error.summary}`, ...shown, `  (${error.code}, see docs/errors.md)`];
  if (env['FACELLM_DEBUG']) lines.push(error.stack ?? '');
  return lines.join('\n');
}

/** Whole lines, for stderr. */
export function warningText({ message, remedy, differences }: ModelWarning): string {
  const lines = [`warning: ${message} (${remedy})`, ...differences.map((line) => `  - ${line}`)];
  return `${lines.join('\n')}\n`;
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** Columns padded to their widest cell; numbers to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  const isNumber = (cell: string): boolean => /^-?[\d.]+ ?%?$/.test(cell);
  return rows
    .map((row) =>
      row
        .map((cell, column) => {
          const width = widths[column] ?? 0;
          return isNumber(cell) ? cell.padStart(width) : cell.padEnd(width);
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/**
 * Reports loading, or other work on bytes, on stderr once it has taken a second: share, rate of the disk, time left. Redraws a
 * line on a terminal, prints a line every five seconds elsewhere.
 */
export class LoadReporter {
  readonly #line: StatusLine;
  readonly #isTerminal: boolean;
  readonly #now: () => number;
  readonly #startedAt: number;
  readonly #words: { readonly doing: string; readonly done: string };
  #isShown = false;

  /** @param now milliseconds; another clock in tests */
  constructor(
    stderr: Console['stderr'],
    words: { readonly doing: string; readonly done: string } = { doing: 'loading', done: 'loaded' },
    now: () => number = () => performance.now(),
  ) {
    this.#line = new StatusLine({ stream: stderr, intervalSeconds: 5, now });
    this.#isTerminal = stderr.isTTY === true;
    this.#words = words;
    this.#now = now;
    this.#startedAt = now();
  }

  update(bytesDone: number, bytesTotal: number): void {
    const elapsed = (this.#now() - this.#startedAt) / 1000;
    if (elapsed < 1 || bytesDone === 0 || !this.#line.isDue) return;
    this.#isShown = true;
    const percent = Math.floor((100 * bytesDone) / bytesTotal);
    const left = Math.ceil((elapsed * (bytesTotal - bytesDone)) / bytesDone);
    const rate = `${formatBytes(bytesDone / elapsed)}/s`;
    this.#line.show(
      `${this.#words.doing}: ${percent} % of ${formatBytes(bytesTotal)}, ${rate}, ${left} s left`,
    );
  }

  finish(): void {
    if (!this.#isShown) return;
    const seconds = ((this.#now() - this.#startedAt) / 1000).toFixed(1);
    if (this.#isTerminal) this.#line.erase();
    else this.#line.note(`${this.#words.done} in ${seconds} s`);
  }
}
