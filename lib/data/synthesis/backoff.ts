/** How long to wait before a request is repeated. */
import type { TeacherFailure } from '../teachers/exchange.js';

const FIRST_MS = 500;
const MOST_MS = 30_000;

/** Whether waiting can help. */
export function isPassing({ kind }: TeacherFailure): boolean {
  return kind === 'busy' || kind === 'passing';
}

/**
 * What the server asks for; else half a second, doubled with every repetition, and up to a quarter less so
 * that those who failed together do not come back together.
 */
export function waitBefore(retry: number, { retryAfterMs }: TeacherFailure): number {
  const backoff = Math.min(FIRST_MS * 2 ** retry, MOST_MS);
  return retryAfterMs ?? backoff * (0.75 + 0.25 * Math.random());
}
