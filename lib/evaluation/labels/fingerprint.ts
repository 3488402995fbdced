/** Hashes over everything that a benchmark's questions and answers come from. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { relative, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';

import { createError } from '../../errors.js';
import { systemCode } from '../../files/index.js';
import type { EvaluationItem, EvaluationSource } from '../types.js';

/** Enough to keep the disk busy without opening thousands of files. */
const FILES_AT_ONCE = 16;

/** Does something with every file, some at a time. */
export async function eachFile(
  paths: Iterable<readonly [name: string, path: string]>,
  work: (name: string, path: string) => Promise<void>,
): Promise<void> {
  const queue = paths[Symbol.iterator]();
  const next = async (): Promise<void> => {
    for (let step = queue.next(); step.done !== true; step = queue.next())
      await work(...step.value);
  };
  await Promise.all(Array.from({ length: FILES_AT_ONCE }, next));
}

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

/** A file as a run records it, by its path from the data's folder. */
export function sourceOf(folder: string, { path, sha256 }: EvaluationSource): EvaluationSource {
  return { path: relative(resolve(folder), path).replaceAll('\\', '/'), sha256 };
}

/**
 * Reads every picture once.
 *
 * @param pictures paths by the names under which they count, so that moving the folder changes nothing
 * @returns sha256 over questions, answers, tags and the bytes of all pictures, in lower-case hex; the pictures, by name
 * @throws DataError FACELLM_DATA_NOT_FOUND if one can no longer be read
 */
export async function fingerprint(
  items: readonly EvaluationItem[],
  pictures: ReadonlyMap<string, string>,
): Promise<{ readonly sha256: string; readonly sources: readonly EvaluationSource[] }> {
  const hashes: EvaluationSource[] = [];
  await eachFile(pictures, async (name, path) => {
    hashes.push({ path: name, sha256: await hashFile(path) });
  });
  const sources = hashes.sort((a, b) => (a.path < b.path ? -1 : 1));
  const questions = items.map(({ id, prompt, choices, answer, tags }) => {
    return [id, prompt, choices, answer, tags];
  });
  const sha256 = createHash('sha256').update(JSON.stringify({ questions, sources })).digest('hex');
  return { sha256, sources };
}
