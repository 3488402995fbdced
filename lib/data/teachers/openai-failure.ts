/** What a failed request to an OpenAI-compatible server means for the run. */
import OpenAI from 'openai';

import { type FailureKind, isTeacherFailure, TeacherFailure } from './exchange.js';

/** Longest wait that a server may ask for; more is taken for a mistake. */
const MAX_RETRY_AFTER_MS = 3_600_000;

/** Retry-After in seconds or as a date, and OpenAI's own retry-after-ms. */
export function retryAfterMs(
  headers: { get(name: string): string | null } | undefined,
  now: number = Date.now(),
): number | undefined {
  const own = Number(headers?.get('retry-after-ms') ?? NaN);
  const written = headers?.get('retry-after') ?? '';
  const seconds = written.trim() === '' ? NaN : Number(written);
  const wait = Number.isFinite(own)
    ? own
    : Number.isFinite(seconds)
      ? seconds * 1000
      : Date.parse(written) - now;
  return Number.isFinite(wait) ? Math.min(Math.max(0, wait), MAX_RETRY_AFTER_MS) : undefined;
}

/** What a status, and a code of the body, say of a request. */
export function failureKind(status: number, code: unknown): FailureKind {
  // Also 429, but no waiting helps.
  if (code === 'insufficient_quota') return 'fatal';
  if (status === 429) return 'busy';
  if (status === 503) return 'busy';
  if (status === 408 || status === 409 || status >= 500) return 'passing';
  if (status === 401 || status === 402 || status === 403 || status === 404) return 'fatal';
  return 'request';
}

/** A server may repeat the key in its complaint about it. */
export function redact(text: string, secret: string | undefined): string {
  return secret === undefined || secret.length < 4 ? text : text.replaceAll(secret, '***');
}

/** Turns what the SDK throws into a TeacherFailure without secrets and without the SDK's objects. */
export function toFailure(error: unknown, secret: string | undefined): TeacherFailure {
  if (isTeacherFailure(error)) return error;
  const message = redact(error instanceof Error ? error.message : String(error), secret);
  if (error instanceof OpenAI.APIConnectionError) {
    // Refused connections sent nothing; of others nobody knows.
    const cause = String((error.cause as { cause?: { code?: unknown } } | undefined)?.cause?.code);
    const wasSent = !['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN'].includes(cause);
    const reason = cause === 'undefined' ? message : `${message} (${cause})`;
    return new TeacherFailure('passing', reason, { mayBePaid: wasSent });
  }
  if (error instanceof OpenAI.APIError && typeof error.status === 'number') {
    const headers = error.headers as Headers | undefined;
    return new TeacherFailure(failureKind(error.status, error.code), message, {
      retryAfterMs: retryAfterMs(headers),
    });
  }
  // A body that breaks off or is no JSON: the answer was made.
  return new TeacherFailure('passing', message, { mayBePaid: true });
}
