/**
 * A file that only grows. Bytes survive the death of the process as soon as `append` returns, and the death of the
 * machine once `durable()` has resolved. A write that a full disk cut short is taken back.
 */
import { closeSync, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';

import { createError } from '../errors.js';
import { runWriteError, syncFolder } from './atomic-file.js';

interface SyncRound {
  readonly done: Promise<void>;
}

export class AppendFile {
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
   * Opens or creates the file, in a folder that exists.
   *
   * @throws TrainingError FACELLM_RUN_WRITE
   */
  static async open(
    path: string,
    {
      mustBeNew = false,
      mode,
    }: { readonly mustBeNew?: boolean; readonly mode?: number | undefined } = {},
  ): Promise<AppendFile> {
    try {
      // Two handles: appends go through a descriptor that cannot be moved by reads.
      const handle = await open(path, mustBeNew ? 'ax+' : 'a+', mode);
      try {
        await syncFolder(dirname(path));
        return new AppendFile(path, openSync(path, 'a'), handle);
      } catch (cause) {
        await handle.close();
        throw cause;
      }
    } catch (cause) {
      throw runWriteError(path, cause);
    }
  }

  get size(): number {
    return this.#size;
  }

  /**
   * Adds bytes; they are with the operating system when this returns. Takes microseconds: the page cache takes them.
   *
   * @returns the offset of the first one
   * @throws TrainingError FACELLM_RUN_WRITE, with the file as it was before; DisposedError after `close()`
   */
  append(bytes: Uint8Array): number {
    if (this.#isClosed) throw createError('FACELLM_DISPOSED', `${this.path} is already closed`);
    const start = this.#size;
    try {
      for (let done = 0; done < bytes.length;) {
        done += writeSync(this.#fd, bytes, done, bytes.length - done);
      }
    } catch (cause) {
      try {
        ftruncateSync(this.#fd, start);
      } catch {
        // The failure that led here is the one to report.
      }
      throw runWriteError(this.path, cause);
    }
    this.#size += bytes.length;
    return start;
  }

  /**
   * Resolves when everything appended so far is on the disk. Calls made during one sync share the next.
   *
   * @throws TrainingError FACELLM_RUN_WRITE
   */
  durable(): Promise<void> {
    this.#next ??= this.#startRound();
    return this.#next.done;
  }

  /** At most `length` bytes, fewer at the end of the file; FACELLM_RUN_WRITE if the disk fails. */
  async read(start: number, length: number): Promise<Buffer> {
    try {
      return await bytesOf(this.#handle, start, Math.min(length, this.#size - start));
    } catch (cause) {
      throw runWriteError(this.path, cause);
    }
  }

  /** Drops what lies behind the first `size` bytes; FACELLM_RUN_WRITE if that fails. */
  cut(size: number): void {
    if (size >= this.#size) return;
    try {
      ftruncateSync(this.#fd, size);
    } catch (cause) {
      throw runWriteError(this.path, cause);
    }
    this.#size = size;
  }

  /** Makes everything durable and closes, and closes even if that fails; a second call does nothing. */
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
        // From here on new bytes belong to the round after this one.
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
}

/** Bytes of an open file, fewer where it ends. */
export async function bytesOf(handle: FileHandle, start: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await handle.read(bytes, done, length - done, start + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return bytes.subarray(0, done);
}
