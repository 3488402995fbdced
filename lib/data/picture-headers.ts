/** Pictures whose beginning already shows that they cannot be decoded: web pages, Git LFS pointers, empty files. */
import { headerProblem } from '../image/index.js';

/** Enough to keep libuv's threads busy, also on a network drive. */
const HEADERS_AT_ONCE = 16;

/**
 * What is wrong with each of these files; those with a sound header are not in the result. Only the beginning of a
 * file is read: one that is cut short or damaged further on is found when it is decoded.
 */
export async function findUndecodable(
  paths: Iterable<string>,
  signal?: AbortSignal,
): Promise<Map<string, string>> {
  const faulty = new Map<string, string>();
  const queue = paths[Symbol.iterator]();
  const work = async (): Promise<void> => {
    for (let next = queue.next(); next.done !== true; next = queue.next()) {
      signal?.throwIfAborted();
      const problem = await headerProblem(next.value);
      if (problem !== undefined) faulty.set(next.value, problem);
    }
  };
  await Promise.all(Array.from({ length: HEADERS_AT_ONCE }, work));
  return faulty;
}
