/** What a request is answered with when it cannot be served: OpenAI's envelope, and whether to try again. */
import { FaceLlmError } from '../errors.js';
import { GrammarTooComplex } from '../generation/index.js';

export type ApiErrorType = 'invalid_request_error' | 'rate_limit_error' | 'server_error';

export interface ApiErrorOptions {
  /** Name of the field, `messages[2].content[0]`. */
  readonly param?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly cause?: unknown;
}

/** Clients repeat every 5xx unless they are told that it helps nothing. */
const NO_RETRY = { 'x-should-retry': 'false' } as const;

export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  readonly code: string;
  readonly param: string | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: string, message: string, options: ApiErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.status = status;
    this.code = code;
    this.param = options.param;
    this.headers = options.headers ?? {};
  }

  get type(): ApiErrorType {
    if (this.status === 429) return 'rate_limit_error';
    return this.status >= 500 ? 'server_error' : 'invalid_request_error';
  }

  /** @param requestId told where the fault is ours, so that it can be found in the log */
  body(requestId: string): { readonly error: Readonly<Record<string, string | null>> } {
    const { type, code } = this;
    const message = this.status === 500 ? `${this.message} (request ${requestId})` : this.message;
    return { error: { message, type, param: this.param ?? null, code } };
  }
}

/** Whoever asked has gone: nothing is sent, 499 stands in log and metrics. */
export class ClientGone extends Error {
  override readonly name = 'ClientGone';
}

/** @param ms until there is likely room */
export function tooBusy(what: string, ms: number): ApiError {
  const seconds = Math.min(60, Math.max(1, Math.ceil(ms / 1000)));
  return new ApiError(429, 'rate_limit_exceeded', `${what}; try again in ${seconds} s`, {
    headers: {
      'retry-after': String(seconds),
      'retry-after-ms': String(Math.min(60_000, Math.max(1, Math.ceil(ms)))),
    },
  });
}

export const shuttingDown = (): ApiError =>
  new ApiError(503, 'shutting_down', 'the server is shutting down; ask another one', {
    headers: { connection: 'close' },
  });

export const queueTimeout = (): ApiError =>
  new ApiError(503, 'queue_timeout', 'the request could not begin in time; try again');

export const generationTimeout = (): ApiError =>
  new ApiError(504, 'generation_timeout', 'the answer took longer than its time limit', {
    headers: NO_RETRY,
  });

export function internalError(cause: unknown): ApiError {
  return new ApiError(500, 'internal_error', 'a fault of the server', { headers: NO_RETRY, cause });
}

/** Which of the request's faults a code of ours is, and the field that it is about. */
const REQUEST_FAULTS: Readonly<Record<string, readonly [code: string, param?: string]>> = {
  FACELLM_INVALID_ARGUMENT: ['invalid_value'],
  FACELLM_PROMPT_TOO_LONG: ['context_length_exceeded', 'messages'],
  FACELLM_IMAGE_TOO_LARGE: ['image_too_large'],
  FACELLM_IMAGE_INVALID: ['image_parse_error'],
};

/** Values stand in quotes in messages of the library; what was sent is nobody else's business, logs' least of all. */
const withoutValues = (text: string): string => text.replace(/"(?:[^"\\]|\\.)*"/g, '"…"');

/** Any failure as what is answered. */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (!(error instanceof FaceLlmError)) return internalError(error);
  if (error.code === 'FACELLM_NO_FACE') {
    const message =
      'faces: no such face was found in a picture; send faces: "off", or {"on_no_face": "whole"} for the whole picture then';
    return new ApiError(400, 'no_face', message, { param: 'faces', cause: error });
  }
  if (error instanceof GrammarTooComplex) {
    return new ApiError(400, 'json_schema_too_complex', error.details.join('; '), { cause: error });
  }
  const [code, param] = REQUEST_FAULTS[error.code] ?? [];
  if (code !== undefined) {
    const lines = error.details.length === 0 ? [error.message] : error.details;
    return new ApiError(400, code, withoutValues(lines.join('; ')), { param, cause: error });
  }
  if (error.code === 'FACELLM_OUT_OF_MEMORY') {
    const message =
      'the request does not fit the memory that is left; send fewer or smaller pictures';
    return new ApiError(503, 'out_of_memory', message, { headers: NO_RETRY, cause: error });
  }
  return internalError(error);
}

/** After these nothing that the model says can be trusted, or it says nothing any more. */
const FATAL = ['FACELLM_CHECKPOINT_INVALID', 'FACELLM_DISPOSED', 'FACELLM_DEVICE_LOST'];

export function isFatal(error: unknown): boolean {
  return error instanceof FaceLlmError && FATAL.includes(error.code);
}
