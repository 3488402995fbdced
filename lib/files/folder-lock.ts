/** One process a folder: two writers would tear each other's files. */
import { open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { createError } from '../errors.js';

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: unknown }).code === 'EPERM';
  }
}

/**
 * Takes the folder, or a lock whose process is gone.
 *
 * @returns a function that gives it back
 * @throws TrainingError FACELLM_RUN_INVALID while another process works there
 */
export async function lockFolder(output: string): Promise<() => Promise<void>> {
  const path = join(output, 'run.lock');
  for (let attempt = 0; ; attempt++) {
    try {
      const file = await open(path, 'wx');
      await file.writeFile(String(process.pid));
      await file.close();
      return () => rm(path, { force: true });
    } catch (cause) {
      if ((cause as { code?: unknown }).code !== 'EEXIST') {
        throw createError('FACELLM_RUN_WRITE', `${path} cannot be written; check the folder`, {
          cause,
        });
      }
      const owner = Number(await readFile(path, 'utf8').catch(() => ''));
      if (attempt > 3 || (owner > 0 && owner !== process.pid && isAlive(owner))) {
        throw createError(
          'FACELLM_RUN_INVALID',
          `${output} is in use by process ${owner}; wait for it, or name another folder`,
          { cause },
        );
      }
      if (owner === process.pid) {
        throw createError(
          'FACELLM_RUN_INVALID',
          `${output} is in use by another run of this process`,
        );
      }
      await rm(path, { force: true });
    }
  }
}
