/**
 * A folder that is whole or absent: gathered beside the place it shall take, under another name, and renamed when all of it
 * is on the disk.
 */
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';

import { createError, FaceLlmError, InvalidArgumentError } from '../errors.js';
import { syncFiles, syncFolder } from '../files/index.js';

async function checkIsFree(output: string): Promise<void> {
  let names: readonly string[];
  try {
    names = await readdir(output);
  } catch (cause) {
    if ((cause as { code?: unknown }).code === 'ENOENT') return;
    throw writeError(output, cause);
  }
  if (names.length === 0) return;
  throw new InvalidArgumentError(
    'FACELLM_INVALID_ARGUMENT',
    `${output} is not empty (${names.length} entries); nothing is overwritten: name a new folder`,
  );
}

/** Beside the output, on the same disk: a rename moves no bytes. */
async function makePartial(output: string): Promise<string> {
  try {
    await mkdir(dirname(output), { recursive: true });
    return await mkdtemp(join(dirname(output), `${basename(output)}.partial-`));
  } catch (cause) {
    throw writeError(output, cause);
  }
}

export interface NewFolder {
  /** Absolute. */
  readonly output: string;
  /** Makes the folder out of what `fill` writes into `partial`; whatever fails or is aborted, nothing is left behind. */
  write<T>(fill: (partial: string) => Promise<T>): Promise<T>;
}

/**
 * Claims a place before any work is done for it.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT if the folder holds anything
 * @throws TrainingError FACELLM_RUN_WRITE where it cannot be written, here or later
 */
export async function newFolder(path: string, signal: AbortSignal | undefined): Promise<NewFolder> {
  const output = resolve(path);
  await checkIsFree(output);
  return {
    output,
    async write(fill) {
      const partial = await makePartial(output);
      try {
        const result = await fill(partial);
        signal?.throwIfAborted();
        await syncFiles(partial);
        await rename(partial, output);
        await syncFolder(dirname(output));
        return result;
      } catch (error) {
        await rm(partial, { recursive: true, force: true });
        signal?.throwIfAborted();
        throw error instanceof FaceLlmError ? error : writeError(output, error);
      }
    },
  };
}

function writeError(output: string, cause: unknown): FaceLlmError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return createError(
    'FACELLM_RUN_WRITE',
    `${output} cannot be written; check the path, its permissions and the room on its disk`,
    { details: [reason], cause },
  );
}
