/**
 * Files and batches on disk, below one folder that only one server holds. Each belongs to the key that made it: to others it
 * is not there. Names on disk are ids of ours, never anything that a client sent.
 */
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { createError } from '../errors.js';
import {
  isJsonObject,
  lockFolder,
  parseJson,
  readOptionalText,
  removeTemporaries,
  writeFileAtomic,
} from '../files/index.js';
import { ApiError } from './api-error.js';
import { isOver, seconds, type StoredBatch, type StoredFile } from './batch-records.js';

/** What routes ask of the batches that a server works through. */
export interface BatchQueue {
  readonly store: BatchStore;
  /** Goes on with what is not over. */
  wake(): void;
  /** @throws ApiError 400 of one that is over */
  cancel(batch: StoredBatch): Promise<void>;
}

const CODES = { unreadable: 'FACELLM_RUN_INVALID', invalid: 'FACELLM_RUN_INVALID' } as const;
const RECORD = /^((?:file-|batch_)[0-9a-f]{32})\.json$/;
/** For the owner of the process alone. */
const PRIVATE = 0o700;
export const PRIVATE_FILE = 0o600;
/** Of an id: its content, its journal, and either while it is made. */
const CONTENT = /^((?:file-|batch_)[0-9a-f]{32})(?:\.answers)?\.jsonl(?:\.new)?$/;

function notFound(what: string): ApiError {
  return new ApiError(404, 'not_found', `there is no such ${what}, or it is another key's`);
}

export class BatchStore {
  readonly #folder: string;
  readonly #unlock: () => Promise<void>;
  readonly #mostBytes: number;
  /** How long files are kept that ask for nothing else, and records of batches that are over. */
  readonly keptSeconds: number;
  readonly #files = new Map<string, StoredFile>();
  readonly #batches = new Map<string, StoredBatch>();

  /** Bytes of files that are being written. */
  #arriving = 0;
  #lastWrite: Promise<void> = Promise.resolve();

  private constructor(
    folder: string,
    unlock: () => Promise<void>,
    mostBytes: number,
    keptSeconds: number,
  ) {
    this.keptSeconds = keptSeconds;
    this.#folder = folder;
    this.#unlock = unlock;
    this.#mostBytes = mostBytes;
  }

  /**
   * @param mostBytes of all files together
   * @param keptSeconds of files, and of batches that are over
   * @throws TrainingError FACELLM_RUN_INVALID while another process holds the folder or others may read it,
   *   FACELLM_RUN_WRITE
   */
  static async open(folder: string, mostBytes: number, keptSeconds: number): Promise<BatchStore> {
    await mkdir(folder, { recursive: true, mode: PRIVATE });
    await refuseOpen(folder);
    const store = new BatchStore(folder, await lockFolder(folder), mostBytes, keptSeconds);
    try {
      await store.#read();
      return store;
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  async #read(): Promise<void> {
    const folder = this.#folder;
    const names = await readdir(folder);
    for (const name of names) {
      const id = RECORD.exec(name)?.[1];
      if (id === undefined) continue;
      const text = (await readOptionalText(join(folder, name), CODES)) ?? '';
      const json = parseJson(text);
      if (!json.isValid || !isJsonObject(json.value)) continue;
      if (id.startsWith('file-')) this.#files.set(id, json.value as unknown as StoredFile);
      else this.#batches.set(id, json.value as unknown as StoredBatch);
    }
    const records = new Set(names.map((name) => RECORD.exec(name)?.[1]));
    // Of whoever was killed while it came or went: nobody's.
    for (const name of names) {
      const id = CONTENT.exec(name)?.[1];
      if (id !== undefined && (!records.has(id) || name.endsWith('.new'))) {
        await rm(join(folder, name), { force: true });
      }
    }
    await removeTemporaries(folder);
    await this.purge();
  }

  close(): Promise<void> {
    return this.#unlock();
  }

  pathOf(id: string): string {
    return join(this.#folder, `${id}.jsonl`);
  }

  journalOf(id: string): string {
    return join(this.#folder, `${id}.answers.jsonl`);
  }

  /** @throws ApiError 404 */
  file(id: string, owner: string): StoredFile {
    const file = this.#files.get(id);
    if (file?.owner !== owner || file.expires_at <= seconds()) throw notFound('file');
    return file;
  }

  /** @throws ApiError 404 */
  batch(id: string, owner: string): StoredBatch {
    const batch = this.#batches.get(id);
    if (batch?.owner !== owner) throw notFound('batch');
    return batch;
  }

  /** Newest first. */
  filesOf(owner: string): readonly StoredFile[] {
    return newestFirst(this.#files.values(), owner).filter(
      ({ expires_at: end }) => end > seconds(),
    );
  }

  batchesOf(owner: string): readonly StoredBatch[] {
    return newestFirst(this.#batches.values(), owner);
  }

  /** Oldest first. */
  get unfinished(): readonly StoredBatch[] {
    return [...this.#batches.values()]
      .filter((batch) => !isOver(batch))
      .sort((a, b) => a.created_at - b.created_at);
  }

  /** @throws ApiError 400 where the folder is full */
  async addFile(file: StoredFile, content: Uint8Array): Promise<void> {
    const held = [...this.#files.values()].reduce((sum, { bytes }) => sum + bytes, this.#arriving);
    if (held + content.length > this.#mostBytes) {
      const message = `file: all files together may have ${this.#mostBytes} bytes; delete some`;
      throw new ApiError(400, 'storage_full', message, { param: 'file' });
    }
    this.#arriving += content.length;
    try {
      await writeFileAtomic(this.pathOf(file.id), content, PRIVATE_FILE);
      await this.keepFile(file);
    } finally {
      this.#arriving -= content.length;
    }
  }

  /** Of a file whose content is there. */
  async keepFile(file: StoredFile): Promise<void> {
    await this.#write(file.id, file);
    this.#files.set(file.id, file);
  }

  async saveBatch(batch: StoredBatch): Promise<void> {
    await this.#write(batch.id, batch);
    this.#batches.set(batch.id, batch);
  }

  async deleteFile(id: string): Promise<void> {
    this.#files.delete(id);
    // The record first: content without one is nobody's.
    await rm(join(this.#folder, `${id}.json`), { force: true });
    await rm(this.pathOf(id), { force: true });
  }

  /** Bytes of a file's content; 0 where there is none. */
  async sizeOf(id: string): Promise<number> {
    return stat(this.pathOf(id)).then(
      ({ size }) => size,
      () => 0,
    );
  }

  /** Deletes what has expired, journals of batches that are over, and after a while their records. */
  async purge(): Promise<void> {
    const inUse = new Set(this.unfinished.map(({ input_file_id: id }) => id));
    for (const { id, expires_at: end } of this.#files.values()) {
      if (end <= seconds() && !inUse.has(id)) await this.deleteFile(id);
    }
    for (const batch of this.#batches.values()) {
      if (!isOver(batch)) continue;
      await rm(this.journalOf(batch.id), { force: true });
      if (endOf(batch) + this.keptSeconds > seconds()) continue;
      this.#batches.delete(batch.id);
      await rm(join(this.#folder, `${batch.id}.json`), { force: true });
    }
  }

  /** One after the other: of two of one record the later stays. */
  #write(id: string, record: object): Promise<void> {
    const path = join(this.#folder, `${id}.json`);
    const written = this.#lastWrite.then(() =>
      writeFileAtomic(path, `${JSON.stringify(record)}\n`, PRIVATE_FILE),
    );
    this.#lastWrite = written.catch(() => undefined);
    return written;
  }
}

/** When a batch was over. */
const endOf = (batch: StoredBatch): number =>
  batch.completed_at ??
  batch.failed_at ??
  batch.expired_at ??
  batch.cancelled_at ??
  batch.expires_at;

/** @throws TrainingError FACELLM_RUN_INVALID of a folder that others may read: people's pictures lie there */
async function refuseOpen(folder: string): Promise<void> {
  const { mode } = await stat(folder);
  if (process.platform === 'win32' || (mode & 0o077) === 0) return;
  const shown = (mode & 0o777).toString(8);
  throw createError(
    'FACELLM_RUN_INVALID',
    `${folder} may be read by others (mode ${shown}); chmod 700 it, or name a folder that is not there yet`,
  );
}

function newestFirst<
  T extends { readonly owner: string; readonly created_at: number; readonly id: string },
>(all: Iterable<T>, owner: string): readonly T[] {
  return [...all]
    .filter((one) => one.owner === owner)
    .sort((a, b) => b.created_at - a.created_at || (a.id < b.id ? -1 : 1));
}
