/** What a server's answer means that is not the file: worth another try, or refused, and then why and what to do. */
import { createError } from '../errors.js';
import { firstHeader, type HttpAnswer } from './http.js';
import { Transient } from './retry.js';
import type { Token } from './environment.js';

/** What was asked for, in words that the messages use. */
export interface Asked {
  /** `model org/name`. */
  readonly what: string;
  /** Its page, where conditions are accepted. */
  readonly page: string;
  readonly revision?: string;
  readonly token?: Token | undefined;
}

/** Milliseconds of a Retry-After, in seconds or as a date. */
export function retryAfter(answer: HttpAnswer, now: number = Date.now()): number | undefined {
  const text = firstHeader(answer, 'retry-after')?.trim();
  if (text === undefined || text === '') return undefined;
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

function isPassing(status: number): boolean {
  return [408, 425, 429].includes(status) || status >= 500;
}

/** The error of an answer that is neither whole nor a part of what was asked for. Reads nothing of its body. */
export function refusal(answer: HttpAnswer, asked: Asked, isOwn: boolean): Error {
  const { status } = answer;
  const host = answer.url.host;
  if (isPassing(status)) {
    const what = status === 429 ? 'too many requests' : 'the server fails';
    return new Transient(`${host} answers ${status}, ${what}`, { waitMs: retryAfter(answer) });
  }
  if (status === 403 && firstHeader(answer, 'x-ratelimit-remaining') === '0') {
    const waitMs = retryAfter(answer) ?? untilReset(answer);
    return new Transient(`${host} answers 403, its limit of requests is reached`, { waitMs });
  }
  // The links that the hub gives to its stores run out; the next attempt asks it for a new one.
  if (!isOwn) return new Transient(`${host}, to which the hub sends on, answers ${status}`);
  return createError('FACELLM_DOWNLOAD_REFUSED', reasonOf(answer, asked), {
    details: serverWords(answer),
  });
}

function untilReset(answer: HttpAnswer): number | undefined {
  const seconds = Number(firstHeader(answer, 'x-ratelimit-reset'));
  return seconds > 0 ? Math.max(0, seconds * 1000 - Date.now()) : undefined;
}

/** One line of plain characters: a server's words go to a terminal. */
function serverWords(answer: HttpAnswer): string[] {
  const words = firstHeader(answer, 'x-error-message');

  const plain = words?.replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ').slice(0, 300);
  return plain === undefined || plain === '' ? [] : [`the server says: ${plain}`];
}

const TOKENS =
  'make a token on the hub (Settings, Access Tokens) and set HF_TOKEN, or run "hf auth login"';

function reasonOf(answer: HttpAnswer, { what, page, revision, token }: Asked): string {
  const { status } = answer;
  const code = firstHeader(answer, 'x-error-code');
  const tokenOf = token === undefined ? undefined : `the token from ${token.source}`;
  if (code === 'RevisionNotFound') {
    return `${what} has no revision ${revision ?? ''}; its branches and tags: ${page}`;
  }
  if (code === 'EntryNotFound') {
    return `${what} no longer has a file that it lists; run the same again (${answer.url.pathname})`;
  }
  if (code === 'GatedRepo') {
    return tokenOf === undefined
      ? `${what} is gated: accept its conditions at ${page}, then ${TOKENS}`
      : `${what} is gated, and the account of ${tokenOf} has not been let in: accept its conditions at ${page} ` +
          'with that account (some wait for their authors), and let the token read gated repositories';
  }
  if (code === 'DisabledRepo') return `${what} has been disabled by the hub: ${page}`;
  const isTokenWrong =
    status === 401 && /invalid|expired/i.test(firstHeader(answer, 'x-error-message') ?? '');
  if (isTokenWrong && tokenOf !== undefined) {
    return `${tokenOf} is not or no longer valid; ${TOKENS}, or unset it for what is public`;
  }
  if (status === 401 || status === 404 || code === 'RepoNotFound') {
    return tokenOf === undefined
      ? `there is no ${what}, or it is private (${status}): check the name; for a private one, ${TOKENS}`
      : `there is no ${what}, or ${tokenOf} may not see it (${status}): check the name, and which account and ` +
          'organisations the token is for';
  }
  if (status === 403) {
    return tokenOf === undefined
      ? `${what} may not be read without a token (403): ${TOKENS}`
      : `${tokenOf} may not read ${what} (403): give it the permission to read this repository`;
  }
  return `${answer.url.host} answers ${status} for ${what}, which is not understood`;
}
