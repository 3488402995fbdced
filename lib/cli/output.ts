/** What the commands print: data on stdout, everything else on stderr. */
import { FaceLlmError } from '../errors.js';

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
  const lines = [`facellm: ${error.message}`, ...shown, `  (${error.code}, see docs/errors.md)`];
  if (env['FACELLM_DEBUG']) lines.push(error.stack ?? '');
  return lines.join('\n');
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
  readonly #stderr: Console['stderr'];
  readonly #startedAt = performance.now();
  #shownAt = 0;

  readonly #words: { readonly doing: string; readonly done: string };

  constructor(
    stderr: Console['stderr'],
    words: { readonly doing: string; readonly done: string } = { doing: 'loading', done: 'loaded' },
  ) {
    this.#stderr = stderr;
    this.#words = words;
  }

  update(bytesDone: number, bytesTotal: number): void {
    const now = performance.now();
    const elapsed = (now - this.#startedAt) / 1000;
    const interval = this.#stderr.isTTY ? 100 : 5000;
    if (elapsed < 1 || bytesDone === 0 || (this.#shownAt > 0 && now - this.#shownAt < interval))
      return;
    this.#shownAt = now;
    const percent = Math.floor((100 * bytesDone) / bytesTotal);
    const left = Math.ceil((elapsed * (bytesTotal - bytesDone)) / bytesDone);
    const text = `${this.#words.doing}: ${percent} % of ${formatBytes(bytesTotal)}, ${formatBytes(bytesDone / elapsed)}/s, ${left} s left`;
    this.#stderr.write(this.#stderr.isTTY ? `\r\x1b[K${text}` : `${text}\n`);
  }

  finish(): void {
    if (this.#shownAt === 0) return;
    const seconds = ((performance.now() - this.#startedAt) / 1000).toFixed(1);
    this.#stderr.write(this.#stderr.isTTY ? `\r\x1b[K` : `${this.#words.done} in ${seconds} s\n`);
  }
}
