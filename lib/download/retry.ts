/** What passes by itself is tried again, later each time; a server that says when is believed. */
import { setTimeout as sleep } from 'node:timers/promises';

import { createError, FaceLlmError } from '../errors.js';
import { systemCode } from '../files/index.js';

/** A failure after which the same may succeed. */
export class Transient extends Error {
  override readonly name = 'Transient';
  /** Milliseconds that the server asks to wait. */
  readonly waitMs: number | undefined;
  /** Nobody answered at all. */
  readonly isUnreachable: boolean;

  constructor(
    message: string,
    options: {
      readonly waitMs?: number | undefined;
      readonly isUnreachable?: boolean;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, { cause: options.cause });
    this.waitMs = options.waitMs;
    this.isUnreachable = options.isUnreachable ?? false;
  }
}

export interface RetryOptions {
  readonly signal: AbortSignal | undefined;
  /** Told before each wait. */
  readonly onWait?: ((reason: string, seconds: number) => void) | undefined;
  /** First wait; each later one is twice as long. @default 500 */
  readonly retryMs?: number | undefined;
  /** Something that grows where an attempt that failed still got on: its failure does not count then. */
  readonly progress?: () => number;
}

/** Failures in a row after which it is given up; of those without any answer fewer, as nothing shows that there is a server. */
const MOST_FAILURES = 6;
const MOST_UNREACHABLE = 3;
const LONGEST_WAIT_MS = 30_000;
/** A server that asks for more is not waited for. */
const LONGEST_ASKED_MS = 10 * 60_000;

/**
 * Runs `attempt` until it succeeds, or fails otherwise than with {@link Transient}.
 *
 * @throws DownloadError FACELLM_DOWNLOAD_FAILED with the last failure; the signal's reason
 */
export async function withRetries<T>(
  what: string,
  attempt: () => Promise<T>,
  { signal, onWait, retryMs = 500, progress = () => 0 }: RetryOptions,
): Promise<T> {
  let failures = 0;
  let furthest = progress();
  for (;;) {
    signal?.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof Transient)) throw error;
      const now = progress();
      failures = now > furthest ? 1 : failures + 1;
      furthest = Math.max(furthest, now);
      if (failures >= (error.isUnreachable ? MOST_UNREACHABLE : MOST_FAILURES)) {
        throw givenUp(what, error);
      }
      if ((error.waitMs ?? 0) > LONGEST_ASKED_MS) throw givenUp(what, error);
      const doubled = Math.min(retryMs * 2 ** (failures - 1), LONGEST_WAIT_MS);
      // Several files that were cut off together do not come back together.
      const waitMs = error.waitMs ?? doubled * (0.75 + Math.random() / 2);
      onWait?.(error.message, waitMs / 1000);
      await sleep(waitMs, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
    }
  }
}

/** Whether it failed because nobody could be asked, not because of an answer. */
export function isUnreachable(error: unknown): boolean {
  return (
    error instanceof FaceLlmError &&
    error.code === 'FACELLM_DOWNLOAD_FAILED' &&
    error.cause instanceof Transient
  );
}

function givenUp(what: string, error: Transient): Error {
  const asked =
    error.waitMs === undefined ? '' : `; it asks to wait ${Math.ceil(error.waitMs / 1000)} s`;
  const remedy = error.isUnreachable
    ? 'check the connection, HTTPS_PROXY and HF_ENDPOINT, then run the same again'
    : 'run the same again later: what is here is kept';
  return createError(
    'FACELLM_DOWNLOAD_FAILED',
    `${what} cannot be fetched: ${error.message}${asked}; ${remedy}`,
    { cause: error },
  );
}

/** Certificates do not mend themselves. */
const CERTIFICATE = /CERT|SELF_SIGNED|UNABLE_TO_(VERIFY|GET)|ALTNAME/;

/** What a failed request becomes: worth another try, unless its certificate is wrong. */
export function networkFailure(cause: unknown, host: string): Error {
  const inner = (cause as { cause?: unknown } | null)?.cause;
  const code = systemCode(cause) === 'unknown' ? systemCode(inner) : systemCode(cause);
  const message = cause instanceof Error && cause.message !== '' ? cause.message : String(cause);
  if (CERTIFICATE.test(code)) {
    return createError(
      'FACELLM_DOWNLOAD_FAILED',
      `${host}: its certificate is not trusted (${code}); where a proxy of your own signs, name its ` +
        'authority in NODE_EXTRA_CA_CERTS',
      { cause },
    );
  }
  // What lies behind a refusing proxy is told by its own message only.
  const proxy = /Proxy response \(?(\d+)/i.exec(message)?.[1];
  if (proxy !== undefined) {
    const remedy =
      proxy === '407' ? 'write user and password into HTTPS_PROXY' : 'ask who keeps it';
    return createError(
      'FACELLM_DOWNLOAD_FAILED',
      `the proxy refuses ${host} (${proxy}); ${remedy}`,
      {
        cause,
      },
    );
  }
  const isNew =
    /^(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT)$/;
  const reason = code === 'unknown' ? message : `${message} (${code})`;
  return new Transient(`${host}: ${reason}`, { isUnreachable: isNew.test(code), cause });
}
