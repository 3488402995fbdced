/** What is there on disk: a dataset's pictures, each looked up once and many at a time. */
import { stat } from 'node:fs';

import { systemCode } from '../files/index.js';
import { headerProblem } from '../image/index.js';
import { FILES_AT_ONCE, mapBounded } from '../jobs/index.js';

/** Enough to keep libuv's threads busy, also on a network drive; few enough to hold no memory. */
const LOOKUPS_AT_ONCE = 64;

function problemOf(path: string): Promise<string | undefined> {
  // The callback form needs no second promise and no stack trace for each of 90,000 paths.
  return new Promise((resolve) => {
    try {
      stat(path, (error, stats) => {
        if (error === null) resolve(stats.isFile() ? undefined : 'is not a file');
        else if (error.code === 'ENOENT' || error.code === 'ENOTDIR') resolve('does not exist');
        else resolve(`cannot be looked up (${systemCode(error)})`);
      });
    } catch {
      // Thrown at once for a path with a NUL character.
      resolve('is no valid path');
    }
  });
}

async function problemsOf(
  paths: readonly string[],
  limit: number,
  look: (path: string) => Promise<string | undefined>,
): Promise<Map<string, string>> {
  const problems = await mapBounded(paths, limit, look);
  return new Map(
    paths.flatMap((path, i) => {
      const problem = problems[i];
      return problem === undefined ? [] : [[path, problem]];
    }),
  );
}

/** What is wrong with each of these files; those that exist are not in the result. */
export function findMissing(paths: ReadonlySet<string>): Promise<Map<string, string>> {
  return problemsOf([...paths], LOOKUPS_AT_ONCE, problemOf);
}

/**
 * Pictures whose beginning already shows that they cannot be decoded: web pages, Git LFS pointers, empty files. One
 * that is cut short or damaged further on is found when it is decoded.
 */
export function findUndecodable(
  paths: readonly string[],
  signal?: AbortSignal,
): Promise<Map<string, string>> {
  return problemsOf(paths, FILES_AT_ONCE, (path) => {
    signal?.throwIfAborted();
    return headerProblem(path);
  });
}

/** Whether there is a file at `path`. */
export async function isFile(path: string): Promise<boolean> {
  return (await problemOf(path)) === undefined;
}

/** Whether there is a folder at `path`. */
export function isFolder(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    try {
      stat(path, (error, stats) => resolve(error === null && stats.isDirectory()));
    } catch {
      resolve(false);
    }
  });
}
