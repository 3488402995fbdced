/**
 * A journal of JSON lines that is larger than memory. A line survives the death of the process as
 * soon as `append` returns, and the death of the machine once `durable()` has resolved; a line torn by
 * either goes when the journal is opened again. Unlike the logs of a training run it is read line by
 * line, or at the places that `append` and `scan` tell.
 */
import { closeSync, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';

import { createError } from '../errors.js';
import { runWriteError, syncFolder } from './atomic-file.js';

const NEWLINE = 0x0a;
const CHUNK_BYTES = 1 << 20;
/** Two lines no further apart are read in one go. */
const MERGE_GAP_BYTES = 1 << 16;

export interface JournalLine {
  /** Offset of its first byte. */
  readonly start: number;
  /** Bytes, without the newline. */
  readonly length: number;
}

interface SyncRound {
  readonly done: Promise<void>;
}

export class JournalFile {
  readonly path: string;
  readonly #fd: number;
  readonly #handle: FileHandle;
  #size: number;
  #running: SyncRound | undefined;
  #next: SyncRound | undefined;
  #isClosed = false;

  private constructor(path: string, fd: number, handle: FileHandle) {
    this.path = path;
    this.#fd = fd;
    this.#handle = handle;
    this.#size = fstatSync(fd).size;
  }

  /**
   * Opens or creates a journal in a folder that exists and hands every whole line to `read`, oldest
   * first; then cuts off a torn last line.
   *
   * @throws TrainingError FACELLM_RUN_WRITE, FACELLM_RUN_INVALID if a line is not a JSON object
   */
  static async open(
    path: string,
    read: (entry: Readonly<Record<string, unknown>>, line: JournalLine) => void,
  ): Promise<JournalFile> {
    let journal: JournalFile;
    try {
      // Two handles: appends go through a descriptor that cannot be moved by reads.
      const handle = await open(path, 'a+');
      journal = new JournalFile(path, openSync(path, 'a'), handle);
      await syncFolder(dirname(path));
    } catch (cause) {
      throw runWriteError(path, cause);
    }
    try {
      await journal.#replay(read);
    } catch (error) {
      await journal.close();
      throw error;
    }
    return journal;
  }

  /** Bytes of whole lines. */
  get size(): number {
    return this.#size;
  }

  /**
   * Adds a line; it is with the operating system when this returns. Takes microseconds: a line is
   * short and the page cache takes it.
   *
   * @throws TrainingError FACELLM_RUN_WRITE, with the journal as it was before
   */
  append(entry: Readonly<Record<string, unknown>>): JournalLine {
    if (this.#isClosed) throw createError('FACELLM_DISPOSED', `${this.path} is already closed`);
    const bytes = Buffer.from(`${JSON.stringify(entry)}\n`);
    const start = this.#size;
    try {
      for (let done = 0; done < bytes.length;) {
        done += writeSync(this.#fd, bytes, done, bytes.length - done);
      }
    } catch (cause) {
      this.#cutBack();
      throw runWriteError(this.path, cause);
    }
    this.#size += bytes.length;
    return { start, length: bytes.length - 1 };
  }

  /**
   * Resolves when every line appended so far is on the disk. Calls made during one sync share the next.
   *
   * @throws TrainingError FACELLM_RUN_WRITE
   */
  durable(): Promise<void> {
    this.#next ??= this.#startRound();
    return this.#next.done;
  }

  /** The lines at these places, in the order given. Places near each other cost one read. */
  async read(places: readonly JournalLine[]): Promise<Readonly<Record<string, unknown>>[]> {
    const order = places.map((place, i) => ({ ...place, i })).sort((a, b) => a.start - b.start);
    const lines = new Array<Readonly<Record<string, unknown>>>(places.length);
    for (let from = 0; from < order.length;) {
      const first = order[from];
      if (first === undefined) break;
      let end = first.start + first.length;
      let to = from + 1;
      for (let next = order[to]; next && next.start - end < MERGE_GAP_BYTES; next = order[++to]) {
        end = Math.max(end, next.start + next.length);
      }
      const bytes = await this.#bytes(first.start, end - first.start);
      for (const { start, length, i } of order.slice(from, to)) {
        const offset = start - first.start;
        lines[i] = this.#parse(bytes.toString('utf8', offset, offset + length), start);
      }
      from = to;
    }
    return lines;
  }

  /** Makes all lines durable and closes, and closes even if that fails; a second call does nothing. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    const synced = this.durable();
    this.#isClosed = true;
    try {
      await synced;
    } finally {
      closeSync(this.#fd);
      await this.#handle.close();
    }
  }

  #startRound(): SyncRound {
    const previous = this.#running?.done ?? Promise.resolve();
    const done = previous
      .catch(() => {})
      .then(async () => {
        // From here on new lines belong to the round after this one.
        this.#running = round;
        this.#next = undefined;
        try {
          await this.#handle.sync();
        } catch (cause) {
          throw runWriteError(this.path, cause);
        }
      });
    const round: SyncRound = { done };
    return round;
  }

  /** A full disk takes a part of a line. If this fails too, opening the journal again repairs it. */
  #cutBack(): void {
    try {
      ftruncateSync(this.#fd, this.#size);
    } catch {
      // The failure that led here is the one to report.
    }
  }

  async #replay(
    read: (entry: Readonly<Record<string, unknown>>, line: JournalLine) => void,
  ): Promise<void> {
    const total = this.#size;
    let rest: Buffer = Buffer.alloc(0);
    let start = 0;
    for (let offset = 0; offset < total;) {
      const chunk = await this.#bytes(offset, Math.min(CHUNK_BYTES, total - offset));
      if (chunk.length === 0) break;
      offset += chunk.length;
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      let from = 0;
      let isTorn = false;
      for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, from)) {
        // A crash of the machine can leave blocks of zeros, which JSON never holds: never synced.
        if (bytes.subarray(from, end).includes(0)) {
          isTorn = true;
          break;
        }
        const text = bytes.toString('utf8', from, end);
        read(this.#parse(text, start), { start, length: end - from });
        start += end - from + 1;
        from = end + 1;
      }
      if (isTorn) break;
      rest = bytes.subarray(from);
    }
    if (start === total) return;
    try {
      ftruncateSync(this.#fd, start);
    } catch (cause) {
      throw runWriteError(this.path, cause);
    }
    this.#size = start;
  }

  async #bytes(start: number, length: number): Promise<Buffer> {
    const bytes = Buffer.alloc(length);
    let done = 0;
    try {
      while (done < length) {
        const { bytesRead } = await this.#handle.read(bytes, done, length - done, start + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
    } catch (cause) {
      throw runWriteError(this.path, cause);
    }
    return bytes.subarray(0, done);
  }

  #parse(text: string, start: number): Readonly<Record<string, unknown>> {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      value = undefined; // reported below
    }
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return value as Readonly<Record<string, unknown>>;
    }
    throw createError(
      'FACELLM_RUN_INVALID',
      `${this.path}, byte ${start}: expected a JSON object on one line; remove the line or name another folder`,
      { details: [`byte ${start}: ${text.slice(0, 80)}`] },
    );
  }
}
