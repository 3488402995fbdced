/**
 * Files that are either whole or absent, whenever the machine goes down: written under another name
 * in the same folder, synced, renamed, and the folder synced so that the name lasts too.
 */
import { randomBytes } from 'node:crypto';
import { type FileHandle, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { createError, FaceLlmError } from '../errors.js';

/** What a failed write or sync of `path` becomes: FACELLM_RUN_WRITE with a remedy. */
export function runWriteError(path: string, cause: unknown): FaceLlmError {
  if (cause instanceof FaceLlmError) return cause;
  const { code, message } = (cause ?? {}) as { code?: unknown; message?: unknown };
  const reason = typeof code === 'string' ? code : String(message ?? cause);
  const isFull = ['ENOSPC', 'EDQUOT', 'EFBIG'].includes(reason);
  const remedy = isFull
    ? 'free space on that disk, then resume the run'
    : 'check that its folder exists and may be written to, then resume the run';
  return createError('FACELLM_RUN_WRITE', `${path} cannot be written (${reason}); ${remedy}`, {
    details: typeof message === 'string' ? [message] : [],
    cause,
  });
}

/** Makes the names in `folder` durable. Windows has no such call and needs none. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes everything in `folder` durable, to its depths. */
export async function syncFiles(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      await syncFiles(path);
      continue;
    }
    const handle = await open(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
  await syncFolder(folder);
}

async function writeDurably(path: string, data: string | Uint8Array, mode?: number): Promise<void> {
  // `wx`: never write through a link or into someone else's file.
  const handle = await open(path, 'wx', mode);
  try {
    await handle.writeFile(data);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Replaces `path` by `data` (text as UTF-8) in one step; readers see the old file or the new one.
 * Durable once resolved. On failure the old file stays and the temporary one is removed.
 *
 * @param mode of the file; the system's umask holds, too
 * @throws TrainingError FACELLM_RUN_WRITE, naming `path`
 */
export async function writeFileAtomic(
  path: string,
  data: string | Uint8Array,
  mode?: number,
): Promise<void> {
  const folder = dirname(path);
  const temporary = temporaryPath(path);
  try {
    await writeDurably(temporary, data, mode);
    await rename(temporary, path);
    await syncFolder(folder);
  } catch (cause) {
    // The first failure is the one to report.
    await rm(temporary, { force: true }).catch(() => {});
    throw runWriteError(path, cause);
  }
}

const TEMPORARY = /^\..+\.[0-9a-f]{12}\.tmp$/;

/** Where a file gathers before it replaces `path`: in the same folder, under a name of its own. */
export function temporaryPath(path: string): string {
  const suffix = randomBytes(6).toString('hex');
  return join(dirname(path), `.${basename(path)}.${suffix}.tmp`);
}

/**
 * Removes what a killed process left half written. Only for one who has locked the folder.
 *
 * @throws TrainingError FACELLM_RUN_WRITE
 */
export async function removeTemporaries(folder: string): Promise<void> {
  try {
    for (const name of await readdir(folder)) {
      if (TEMPORARY.test(name)) await rm(join(folder, name), { force: true });
    }
  } catch (cause) {
    throw runWriteError(folder, cause);
  }
}

const CHUNK_BYTES = 1 << 20;

/**
 * As `writeFileAtomic` for text that comes in pieces and need not fit into memory: nothing is seen at
 * `path` before `commit()`. All methods reject with FACELLM_RUN_WRITE, naming `path`.
 */
export class AtomicFile {
  readonly path: string;
  /** Where the pieces gather, in the same folder. */
  readonly temporary: string;
  readonly #handle: FileHandle;
  #pending: string[] = [];
  #pendingLength = 0;

  private constructor(path: string, temporary: string, handle: FileHandle) {
    this.path = path;
    this.temporary = temporary;
    this.#handle = handle;
  }

  static async open(path: string, mode?: number): Promise<AtomicFile> {
    const temporary = temporaryPath(path);
    try {
      return new AtomicFile(path, temporary, await open(temporary, 'wx', mode));
    } catch (cause) {
      throw runWriteError(path, cause);
    }
  }

  async write(text: string): Promise<void> {
    this.#pending.push(text);
    this.#pendingLength += text.length;
    if (this.#pendingLength >= CHUNK_BYTES) await this.#drain();
  }

  /** Makes the file durable and puts it in place of an older one. */
  async commit(): Promise<void> {
    await this.#drain();
    try {
      await this.#handle.sync();
      await this.#handle.close();
      await rename(this.temporary, this.path);
      await syncFolder(dirname(this.path));
    } catch (cause) {
      await this.discard();
      throw runWriteError(this.path, cause);
    }
  }

  /** Leaves an older file as it is. Never rejects; after `commit()` it does nothing. */
  async discard(): Promise<void> {
    await this.#handle.close().catch(() => {});
    await rm(this.temporary, { force: true }).catch(() => {});
  }

  async #drain(): Promise<void> {
    const text = this.#pending.join('');
    this.#pending = [];
    this.#pendingLength = 0;
    try {
      await this.#handle.appendFile(text);
    } catch (cause) {
      await this.discard();
      throw runWriteError(this.path, cause);
    }
  }
}
