/** Hashes over everything that a benchmark's questions and answers come from. */
import { relative, resolve } from 'node:path';

import { createError } from '../../errors.js';
import { sha256, sha256OfFile, systemCode } from '../../files/index.js';
import { FILES_AT_ONCE, mapBounded } from '../../jobs/index.js';
import type { EvaluationItem, EvaluationSource } from '../types.js';

/** A file as a run records it, by its path from the data's folder. */
export function sourceOf(folder: string, file: EvaluationSource): EvaluationSource {
  const path = relative(resolve(folder), file.path).replaceAll('\\', '/');
  return { path, sha256: file.sha256 };
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
  const hashes = await mapBounded([...pictures], FILES_AT_ONCE, async ([name, path]) => {
    const hash = await sha256OfFile(path, (cause) =>
      createError(
        'FACELLM_DATA_NOT_FOUND',
        `${path} cannot be read (${systemCode(cause)}); it was there a moment ago`,
        { cause },
      ),
    );
    return { path: name, sha256: hash };
  });
  const sources = hashes.sort((a, b) => (a.path < b.path ? -1 : 1));
  const questions = items.map(({ id, prompt, choices, answer, tags }) => {
    return [id, prompt, choices, answer, tags];
  });
  return { sha256: sha256(JSON.stringify({ questions, sources })), sources };
}
