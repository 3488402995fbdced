/** What is there on disk: a dataset's pictures, each looked up once and many at a time. */
import { stat } from 'node:fs';
import { systemCode } from '../files/index.js';

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

/** What is wrong with each of these files; those that exist are not in the result. */
export async function findMissing(paths: ReadonlySet<string>): Promise<Map<string, string>> {
  const missing = new Map<string, string>();
  const queue = paths.values();
  const work = async (): Promise<void> => {
    for (const path of queue) {
      const problem = await problemOf(path);
      if (problem !== undefined) missing.set(path, problem);
    }
  };
  await Promise.all(Array.from({ length: LOOKUPS_AT_ONCE }, work));
  return missing;
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
