/** One hash over everything that a benchmark's questions and answers come from. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';

import { systemCode } from '../../data/data-file.js';
import { createError } from '../../errors.js';

/** Enough to keep the disk busy without opening thousands of files. */
const FILES_AT_ONCE = 16;

async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    await pipeline(createReadStream(path), hash);
  } catch (cause) {
    throw createError(
      'FACELLM_DATA_NOT_FOUND',
      `${path} cannot be read (${systemCode(cause)}); it was there a moment ago`,
      { cause },
    );
  }
  return hash.digest('hex');
}

export interface FingerprintOptions {
  /** Whatever else determines the questions: definitions, answers, seeds. JSON-serialisable. */
  readonly content: unknown;
  /** Pictures by the name under which they count, so that moving the folder changes nothing. */
  readonly files: ReadonlyMap<string, string>;
}

/**
 * sha256 over content and the bytes of all files, in lower-case hex.
 *
 * @throws DataError FACELLM_DATA_NOT_FOUND if a file can no longer be read
 */
export async function fingerprint({ content, files }: FingerprintOptions): Promise<string> {
  const queue = files.entries();
  const hashes = new Map<string, string>();
  const work = async (): Promise<void> => {
    for (const [name, path] of queue) hashes.set(name, await hashFile(path));
  };
  await Promise.all(Array.from({ length: FILES_AT_ONCE }, work));
  const pictures = [...hashes].sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256').update(JSON.stringify({ content, pictures })).digest('hex');
}
