/**
 * Logs of one JSON object a line that survive a crash: a line torn by it goes when the log is opened
 * again, and the lines that a resumed run will write once more go by `truncateAfter`.
 */
import { createError } from '../../errors.js';
import { AppendFile } from './append-file.js';

const NEWLINE = 0x0a;

/** Any JSON object; values of undefined are left out. */
export type LogEntry = Readonly<Record<string, unknown>>;

/**
 * Bytes up to the end of the last line that is whole. A crash of the machine can also leave blocks of
 * zeros, which JSON text never holds; everything from such a line on was never flushed.
 */
function wholeLength(bytes: Uint8Array): number {
  const zero = bytes.indexOf(0);
  const end = zero === -1 ? bytes.length : zero;
  return bytes.subarray(0, end).lastIndexOf(NEWLINE) + 1;
}

export class AppendLog {
  readonly #file: AppendFile;

  private constructor(file: AppendFile) {
    this.#file = file;
  }

  /**
   * Opens or creates a log in a folder that exists, and cuts off a torn last line.
   *
   * @throws TrainingError FACELLM_RUN_WRITE
   */
  static async open(path: string): Promise<AppendLog> {
    const file = await AppendFile.open(path);
    try {
      await file.truncate(wholeLength(await file.read()));
    } catch (error) {
      await file.close();
      throw error;
    }
    return new AppendLog(file);
  }

  get path(): string {
    return this.#file.path;
  }

  /** Adds a line in memory; what `entry` holds later does not matter. */
  append(entry: LogEntry): void {
    this.#file.append(Buffer.from(`${JSON.stringify(entry)}\n`));
  }

  /**
   * Resolves when all lines appended so far are on the disk.
   *
   * @throws TrainingError FACELLM_RUN_WRITE
   */
  flush(): Promise<void> {
    return this.#file.flush();
  }

  /** The lines on the disk, oldest first; FACELLM_RUN_INVALID if one is not a JSON object. */
  async entries(): Promise<LogEntry[]> {
    return (await this.#lines()).map(({ entry }) => entry);
  }

  /**
   * Flushes, then durably drops the first line for which `isNewer` holds and all lines after it: with
   * the step of a checkpoint, a run resumed from there logs no step twice.
   *
   * @throws TrainingError FACELLM_RUN_WRITE, or FACELLM_RUN_INVALID if a line is not a JSON object
   */
  async truncateAfter(isNewer: (entry: LogEntry) => boolean): Promise<void> {
    await this.#file.flush();
    const first = (await this.#lines()).find(({ entry }) => isNewer(entry));
    if (first !== undefined) await this.#file.truncate(first.start);
  }

  /** Flushes and closes; a second call does nothing. */
  close(): Promise<void> {
    return this.#file.close();
  }

  async #lines(): Promise<{ readonly start: number; readonly entry: LogEntry }[]> {
    const bytes = await this.#file.read();
    const lines: { start: number; entry: LogEntry }[] = [];
    for (let start = 0; start < bytes.length;) {
      const end = bytes.indexOf(NEWLINE, start);
      const text = bytes.toString('utf8', start, end === -1 ? bytes.length : end);
      lines.push({ start, entry: this.#parse(text, lines.length + 1) });
      start = end === -1 ? bytes.length : end + 1;
    }
    return lines;
  }

  #parse(text: string, lineNumber: number): LogEntry {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      value = undefined; // reported below
    }
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return value as LogEntry;
    }
    throw createError(
      'FACELLM_RUN_INVALID',
      `${this.path}, line ${lineNumber}: expected a JSON object; remove the line or move the file away, then resume`,
      { details: [`line ${lineNumber}: ${text.slice(0, 80)}`] },
    );
  }
}
