/** One process downloads into a folder at a time; another one waits, and then finds what the first has fetched. */
import { mkdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

import { FaceLlmError } from '../errors.js';
import { lockFolder } from '../files/index.js';
import type { OnDownload } from './events.js';
import { writeError } from './transfer.js';

const POLL_MS = 250;

/**
 * Takes the folder as soon as nobody holds it.
 *
 * @returns a function that gives it back
 * @throws DownloadError FACELLM_DOWNLOAD_WRITE; the signal's reason
 */
export async function waitForFolder(
  folder: string,
  signal: AbortSignal | undefined,
  onEvent: OnDownload | undefined,
): Promise<() => Promise<void>> {
  await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
    throw writeError(folder, cause);
  });
  for (let tries = 0; ; tries++) {
    signal?.throwIfAborted();
    try {
      return await lockFolder(folder);
    } catch (error) {
      if (!(error instanceof FaceLlmError)) throw error;
      if (error.code !== 'FACELLM_RUN_INVALID') throw writeError(folder, error.cause ?? error);
      // The message names the process, and what to do where it cannot be seen from here.
      if (tries === 0) onEvent?.({ type: 'wait', reason: error.message, seconds: undefined });
    }
    await sleep(POLL_MS, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
  }
}
