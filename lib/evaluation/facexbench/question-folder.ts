/** FaceXBench's folder: all question files read and checked, all pictures found and hashed. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { createError, FaceLlmError } from '../../errors.js';
import { decodeText, sha256 } from '../../files/index.js';
import { FILES_AT_ONCE, mapBounded } from '../../jobs/index.js';
import type { EvaluationSource } from '../types.js';
import { type FaceXFile, parseQuestionFile } from './question-file.js';

export interface QuestionFolder {
  /** Where the question files lie and picture paths start. */
  readonly directory: string;
  readonly files: readonly FolderFile[];
  /** Questions set aside, with the reason; only with `skip`. */
  readonly leftOut: readonly LeftOut[];
  /** Question files and pictures with their sha256, in order of path. */
  readonly sources: readonly EvaluationSource[];
}

export interface FolderFile extends FaceXFile {
  /** sha256 of the content whatever its layout. */
  readonly contentHash: string;
  /** Of the file, questions set aside included. */
  readonly questionCount: number;
}

export interface LeftOut {
  readonly file: string;
  readonly question: string | undefined;
  readonly reason: string;
}

/**
 * Reads the folder `benchmark/` of the published repository, or the repository itself.
 *
 * @param onInvalid `skip` sets bad files and questions without their pictures aside
 * @throws DataError FACELLM_DATA_NOT_FOUND without question files; FACELLM_DATA_INVALID listing every
 *   fault and every absent picture
 */
export async function readQuestionFolder(
  data: string,
  onInvalid: 'error' | 'skip',
): Promise<QuestionFolder> {
  const { directory, names } = await findFiles(data);
  const problems: string[] = [];
  const leftOut: LeftOut[] = [];
  const sources: EvaluationSource[] = [];
  const files: FolderFile[] = [];
  for (const name of names) {
    const bytes = await readFile(join(directory, name));
    const { file, problems: found } = parseBytes(name, bytes);
    problems.push(...found);
    if (file === undefined || found.length > 0) {
      leftOut.push({ file: name, question: undefined, reason: found.join('; ') });
      continue;
    }
    const contentHash = sha256(JSON.stringify(file.source));
    sources.push({ path: name, sha256: sha256(bytes) });
    files.push({ ...file, contentHash, questionCount: file.questions.length });
  }
  const hashes = await hashPictures(directory, files);
  const kept = files.map((file) => {
    const questions = file.questions.filter((question) => {
      const absent = question.imagePaths.filter((path) => hashes.get(path) === undefined);
      if (absent.length === 0) return true;
      const reason = `no picture ${absent.join(', ')}`;
      problems.push(`${file.name}, question ${question.key}: ${reason}`);
      leftOut.push({ file: file.name, question: question.key, reason });
      return false;
    });
    return { ...file, questions };
  });
  if (problems.length > 0 && onInvalid === 'error') throw invalid(directory, problems);
  if (kept.every(({ questions }) => questions.length === 0)) throw invalid(directory, problems);
  for (const [path, hash] of hashes) {
    if (hash !== undefined) sources.push({ path, sha256: hash });
  }
  return { directory, files: kept, leftOut, sources };
}

/** A file that is no text is a faulty one among the others. */
function parseBytes(name: string, bytes: Uint8Array): ReturnType<typeof parseQuestionFile> {
  try {
    return parseQuestionFile(name, decodeText(bytes, name, 'FACELLM_DATA_INVALID'));
  } catch (error) {
    if (!(error instanceof FaceLlmError)) throw error;
    return { file: undefined, problems: [error.summary] };
  }
}

function invalid(directory: string, problems: readonly string[]): Error {
  return createError(
    'FACELLM_DATA_INVALID',
    `${directory}: ${problems.length} fault(s) in the question files and their pictures; fetch the whole ` +
      'folder benchmark/ with its images, or leave the faulty ones out, which makes the set partial',
    { details: problems },
  );
}

async function findFiles(
  data: string,
): Promise<{ readonly directory: string; readonly names: readonly string[] }> {
  for (const directory of [join(data, 'benchmark'), data]) {
    const names = await readdir(directory).catch(() => []);
    const found = names.filter((name) => name.endsWith('.json')).sort();
    if (found.length > 0) return { directory, names: found };
  }
  throw createError(
    'FACELLM_DATA_NOT_FOUND',
    `${data} holds no question files; expected FaceXBench's folder benchmark/ with its .json files`,
  );
}

/** Path to sha256, undefined for a picture that cannot be read; in the order of the questions. */
async function hashPictures(
  directory: string,
  questionFiles: readonly FaceXFile[],
): Promise<Map<string, string | undefined>> {
  const paths = questionFiles.flatMap(({ questions }) =>
    questions.flatMap(({ imagePaths }) => imagePaths),
  );
  const hashes = await mapBounded([...new Set(paths)], FILES_AT_ONCE, async (path) => {
    const bytes = await readFile(join(directory, path)).catch(() => undefined);
    return [path, bytes && sha256(bytes)] as const;
  });
  return new Map(hashes);
}
