/** Several files at once: room looked for before, the first failure ends them all, and all have ended when it is told. */
import { stat, statfs } from 'node:fs/promises';

import { createError } from '../errors.js';
import { mapBounded } from '../jobs/index.js';
import type { OnDownload } from './events.js';
import type { HttpClient } from './http.js';
import { TransferRate } from './rate.js';
import type { Asked } from './refusal.js';
import { type Transfer, transferFile } from './transfer.js';

export interface TransferAllOptions {
  readonly client: HttpClient;
  readonly asked: Asked;
  /** Of the disk that everything goes to. */
  readonly folder: string;
  /** Bytes of files that are whole already, for the totals. */
  readonly bytesHere: number;
  readonly filesHere: number;
  readonly filesAtOnce: number;
  readonly signal: AbortSignal | undefined;
  readonly onEvent: OnDownload | undefined;
  readonly retryMs: number | undefined;
  /** Room that is needed beside the files, such as for unpacking them. @default 0 */
  readonly bytesBeside?: number;
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}

/** @throws DownloadError as {@link transferFile}; FACELLM_DOWNLOAD_WRITE if the disk has no room for them */
export async function transferAll(
  transfers: readonly Transfer[],
  options: TransferAllOptions,
): Promise<void> {
  const { client, asked, signal, onEvent, retryMs } = options;
  const partial = await Promise.all(transfers.map(({ partial: path }) => sizeOf(path)));
  const bytes = sum(transfers.map(({ size }) => size));
  await checkRoom(options.folder, bytes - sum(partial) + (options.bytesBeside ?? 0));
  const rate = new TransferRate(
    {
      bytes: bytes + options.bytesHere,
      bytesHere: options.bytesHere,
      files: transfers.length + options.filesHere,
    },
    onEvent,
  );
  for (let i = 0; i < options.filesHere; i++) rate.fileDone();
  const stop = new AbortController();
  const either = AbortSignal.any([stop.signal, ...(signal === undefined ? [] : [signal])]);
  const onWait = (reason: string, seconds: number): void =>
    onEvent?.({ type: 'wait', reason, seconds });
  let failure: { readonly error: unknown } | undefined;
  // Large ones first, so that the last minutes are not one of them alone.
  const ordered = [...transfers].sort((a, b) => b.size - a.size);
  await mapBounded(ordered, options.filesAtOnce, async (transfer) => {
    if (either.aborted) return;
    try {
      const onBytes = (count: number): void => rate.add(count);
      await transferFile(transfer, { client, asked, signal: either, onBytes, onWait, retryMs });
      rate.fileDone();
    } catch (error) {
      failure ??= { error };
      stop.abort(error);
    }
  });
  signal?.throwIfAborted();
  if (failure !== undefined) throw failure.error;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}

export async function checkRoom(folder: string, bytes: number): Promise<void> {
  const disk = await statfs(folder);
  const free = disk.bavail * disk.bsize;
  if (bytes <= free) return;
  const inGb = (count: number): string => (count / 1e9).toFixed(count < 1e9 ? 3 : 1);
  throw createError(
    'FACELLM_DOWNLOAD_WRITE',
    `${folder}: ${inGb(bytes)} GB are needed and ${inGb(free)} GB are free; free ${inGb(bytes - free)} GB more ` +
      'there, or name a folder on another disk (HF_HOME, HF_HUB_CACHE)',
  );
}
