/** sha256, in lower-case hex. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';

export function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

/**
 * Of a file, which need not fit into memory; `failure` makes the error of one that cannot be read.
 *
 * @throws that; the signal's reason
 */
export async function sha256OfFile(
  path: string,
  failure: (cause: unknown) => Error,
  { signal, onBytes }: { signal?: AbortSignal; onBytes?: (count: number) => void } = {},
): Promise<string> {
  const hash = createHash('sha256');
  const stream = createReadStream(path, { highWaterMark: 2 ** 20 });
  if (onBytes !== undefined) stream.on('data', (piece) => onBytes(piece.length));
  await pipeline(stream, hash, signal === undefined ? {} : { signal }).catch((cause: unknown) => {
    signal?.throwIfAborted();
    throw failure(cause);
  });
  return hash.digest('hex');
}
