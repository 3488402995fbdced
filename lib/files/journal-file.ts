/**
 * Journals of JSON lines, which may be larger than memory. A line torn by the death of the process or the machine
 * goes when the journal is opened again. They are read line by line, or at the places that `append` and `open` tell.
 */
import { open } from 'node:fs/promises';

import { createError } from '../errors.js';
import { AppendFile, bytesOf } from './append-file.js';

const NEWLINE = 0x0a;
const CHUNK_BYTES = 1 << 20;
/** Two lines no further apart are read in one go. */
const MERGE_GAP_BYTES = 1 << 16;

/** Any JSON object; values of undefined are left out. */
export type JournalEntry = Readonly<Record<string, unknown>>;

export interface JournalLine {
  /** Offset of its first byte. */
  readonly start: number;
  /** Bytes, without the newline. */
  readonly length: number;
}

export type ReadLine = (entry: JournalEntry, line: JournalLine) => void;

export class JournalFile implements AsyncDisposable {
  readonly #file: AppendFile;

  private constructor(file: AppendFile) {
    this.#file = file;
  }

  /**
   * Opens or creates a journal in a folder that exists and hands every whole line to `read`, oldest
   * first; then cuts off a torn last line.
   *
   * @param mode of a file that is not there yet; the system's umask holds, too
   * @throws TrainingError FACELLM_RUN_WRITE, FACELLM_RUN_INVALID if a line is not a JSON object
   */
  static async open(path: string, read: ReadLine, mode?: number): Promise<JournalFile> {
    const file = await AppendFile.open(path, { mode });
    try {
      const bytesAt = (start: number, length: number): Promise<Buffer> => file.read(start, length);
      file.cut(await readWholeLines(path, bytesAt, read));
    } catch (error) {
      await file.close();
      throw error;
    }
    return new JournalFile(file);
  }

  get path(): string {
    return this.#file.path;
  }

  /** Bytes of whole lines. */
  get size(): number {
    return this.#file.size;
  }

  /**
   * Adds a line; what `entry` holds later does not matter.
   *
   * @throws TrainingError FACELLM_RUN_WRITE, with the journal as it was before
   */
  append(entry: JournalEntry): JournalLine {
    const bytes = Buffer.from(`${JSON.stringify(entry)}\n`);
    return { start: this.#file.append(bytes), length: bytes.length - 1 };
  }

  /** As {@link AppendFile.durable}. */
  durable(): Promise<void> {
    return this.#file.durable();
  }

  /** Drops this line and all lines after it. */
  dropFrom({ start }: Pick<JournalLine, 'start'>): void {
    this.#file.cut(start);
  }

  /** The lines at these places, in the order given. Places near each other cost one read. */
  async read(places: readonly JournalLine[]): Promise<JournalEntry[]> {
    const order = places.map((place, i) => ({ ...place, i })).sort((a, b) => a.start - b.start);
    const lines = new Array<JournalEntry>(places.length);
    for (let from = 0; from < order.length;) {
      const first = order[from];
      if (first === undefined) break;
      let end = first.start + first.length;
      let to = from + 1;
      for (let next = order[to]; next && next.start - end < MERGE_GAP_BYTES; next = order[++to]) {
        end = Math.max(end, next.start + next.length);
      }
      const bytes = await this.#file.read(first.start, end - first.start);
      for (const { start, length, i } of order.slice(from, to)) {
        const offset = start - first.start;
        lines[i] = parseLine(this.path, bytes.toString('utf8', offset, offset + length), start);
      }
      from = to;
    }
    return lines;
  }

  /** Makes all lines durable and closes; a second call does nothing. */
  close(): Promise<void> {
    return this.#file.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * Hands every whole line of a journal that another process may be writing to `read`, and changes nothing.
 *
 * @returns whether there is such a file
 * @throws TrainingError FACELLM_RUN_INVALID if it cannot be read, or a line is not a JSON object
 */
export async function readJournal(path: string, read: ReadLine): Promise<boolean> {
  try {
    await using handle = await open(path, 'r');
    const { size } = await handle.stat();
    const bytesAt = (start: number, length: number): Promise<Buffer> =>
      bytesOf(handle, start, Math.min(length, size - start));
    await readWholeLines(path, bytesAt, read);
    return true;
  } catch (cause) {
    const { code } = cause as { code?: unknown };
    if (code === 'ENOENT') return false;
    if (String(code).startsWith('FACELLM_')) throw cause;
    throw createError('FACELLM_RUN_INVALID', `${path} cannot be read; check its permissions`, {
      cause,
    });
  }
}

/** @returns where the last whole line ends */
export async function readWholeLines(
  path: string,
  bytesAt: (start: number, length: number) => Promise<Buffer>,
  read: ReadLine,
  from = 0,
): Promise<number> {
  let rest: Buffer = Buffer.alloc(0);
  let start = from;
  for (;;) {
    const chunk = await bytesAt(start + rest.length, CHUNK_BYTES);
    if (chunk.length === 0) return start;
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let from = 0;
    for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, from)) {
      // A crash of the machine can leave blocks of zeros, which JSON never holds: never synced.
      if (bytes.subarray(from, end).includes(0)) return start;
      read(parseLine(path, bytes.toString('utf8', from, end), start), {
        start,
        length: end - from,
      });
      start += end - from + 1;
      from = end + 1;
    }
    rest = bytes.subarray(from);
  }
}

function parseLine(path: string, text: string, start: number): JournalEntry {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined; // reported below
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as JournalEntry;
  }
  throw createError(
    'FACELLM_RUN_INVALID',
    `${path}, byte ${start}: expected a JSON object on one line; remove the line or name another folder`,
    { details: [`byte ${start}: ${text.slice(0, 80)}`] },
  );
}
