/** sha256, in lower-case hex. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';

export function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

/** Of a file, which need not fit into memory; `failure` makes the error of one that cannot be read. */
export async function sha256OfFile(
  path: string,
  failure: (cause: unknown) => Error,
): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash).catch((cause: unknown) => {
    throw failure(cause);
  });
  return hash.digest('hex');
}
