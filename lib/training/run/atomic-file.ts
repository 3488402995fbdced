/**
 * Files that are either whole or absent, whenever the machine goes down: written under another name
 * in the same folder, synced, renamed, and the folder synced so that the name lasts too.
 */
import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { createError, FaceLlmError } from '../../errors.js';

/** What a failed write or sync of `path` becomes: FACELLM_RUN_WRITE with a remedy. */
export function runWriteError(path: string, cause: unknown): FaceLlmError {
  if (cause instanceof FaceLlmError) return cause;
  const { code, message } = (cause ?? {}) as { code?: unknown; message?: unknown };
  const reason = typeof code === 'string' ? code : String(message ?? cause);
  const isFull = ['ENOSPC', 'EDQUOT', 'EFBIG'].includes(reason);
  const remedy = isFull
    ? 'free space on that disk, then resume the run from its last checkpoint'
    : 'check that its folder exists and may be written to, then resume the run from its last checkpoint';
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

async function writeDurably(path: string, data: string | Uint8Array): Promise<void> {
  // `wx`: never write through a link or into someone else's file.
  const handle = await open(path, 'wx');
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
 * @throws TrainingError FACELLM_RUN_WRITE, naming `path`
 */
export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  const folder = dirname(path);
  const suffix = randomBytes(6).toString('hex');
  const temporary = join(folder, `.${basename(path)}.${suffix}.tmp`);
  try {
    await writeDurably(temporary, data);
    await rename(temporary, path);
    await syncFolder(folder);
  } catch (cause) {
    // The first failure is the one to report.
    await rm(temporary, { force: true }).catch(() => {});
    throw runWriteError(path, cause);
  }
}
