/**
 * A file that only grows: bytes wait in memory until `flush()`, which makes them durable or, on
 * failure, takes back what a full disk let through, so that the file never ends in half a record.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';

import { createError } from '../../errors.js';
import { runWriteError, syncFolder } from '../../files/index.js';

export interface AppendFileOptions {
  /** Fail if the file exists. Default false. */
  readonly mustBeNew?: boolean;
}

export class AppendFile {
  readonly path: string;
  readonly #handle: FileHandle;
  /** Bytes known to be on the disk; all of them whole records. */
  #size: number;
  #pending: Uint8Array[] = [];
  /** Flushes run one after another; never rejects. */
  #queue: Promise<void> = Promise.resolve();
  #isClosed = false;

  private constructor(path: string, handle: FileHandle, size: number) {
    this.path = path;
    this.#handle = handle;
    this.#size = size;
  }

  /**
   * Opens or creates the file, in a folder that exists.
   *
   * @throws TrainingError FACELLM_RUN_WRITE
   */
  static async open(path: string, options: AppendFileOptions = {}): Promise<AppendFile> {
    try {
      const handle = await open(path, options.mustBeNew ? 'ax+' : 'a+');
      try {
        await syncFolder(dirname(path));
        return new AppendFile(path, handle, (await handle.stat()).size);
      } catch (cause) {
        await handle.close();
        throw cause;
      }
    } catch (cause) {
      throw runWriteError(path, cause);
    }
  }

  /** Bytes on the disk; those that wait for a flush do not count. */
  get size(): number {
    return this.#size;
  }

  /** The whole file as it is on the disk; FACELLM_RUN_WRITE if the disk fails. */
  async read(): Promise<Buffer> {
    const bytes = Buffer.alloc(this.#size);
    let done = 0;
    try {
      while (done < bytes.length) {
        const { bytesRead } = await this.#handle.read(bytes, done, bytes.length - done, done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
    } catch (cause) {
      throw runWriteError(this.path, cause);
    }
    return bytes.subarray(0, done);
  }

  /** Adds one whole record. Does no I/O; FACELLM_DISPOSED after `close()`. */
  append(bytes: Uint8Array): void {
    this.#checkOpen();
    this.#pending.push(bytes);
  }

  /**
   * Resolves when everything appended so far is on the disk. After a failure the records wait for
   * the next flush.
   *
   * @throws TrainingError FACELLM_RUN_WRITE
   */
  flush(): Promise<void> {
    return this.#enqueue(() => this.#writePending());
  }

  /** Durably cuts the file to its first `size` bytes; FACELLM_RUN_WRITE if that fails. */
  truncate(size: number): Promise<void> {
    return this.#enqueue(async () => {
      if (size >= this.#size) return;
      await this.#handle.truncate(size);
      await this.#handle.sync();
      this.#size = size;
    });
  }

  /** Flushes and closes, and closes even if the flush fails; a second call does nothing. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    const flushed = this.flush();
    this.#isClosed = true;
    try {
      await flushed;
    } finally {
      await this.#handle.close();
    }
  }

  #checkOpen(): void {
    if (this.#isClosed) throw createError('FACELLM_DISPOSED', `${this.path} is already closed`);
  }

  async #enqueue(work: () => Promise<void>): Promise<void> {
    this.#checkOpen();
    const done = this.#queue.then(work);
    this.#queue = done.catch(() => {});
    try {
      await done;
    } catch (cause) {
      throw runWriteError(this.path, cause);
    }
  }

  async #writePending(): Promise<void> {
    const records = this.#pending;
    if (records.length === 0) return;
    this.#pending = [];
    const bytes = Buffer.concat(records);
    try {
      await this.#handle.appendFile(bytes);
      await this.#handle.sync();
      this.#size += bytes.length;
    } catch (cause) {
      this.#pending = [...records, ...this.#pending];
      // A disk that fills up takes a part. If this fails too, opening the file again repairs it.
      await this.#handle.truncate(this.#size).catch(() => {});
      throw cause;
    }
  }
}
