/** The bytes of a request's body, counted as they come: by us, whatever the framework does. */
import type { IncomingMessage } from 'node:http';

import { ApiError, ClientGone, tooBusy } from './api-error.js';

/** Of a body that does not say its length, and the most that is taken for what another says before it comes. */
const [LEAST, MOST_AHEAD] = [4096, 2 ** 16];

/** Bytes of all bodies that are in memory at a time. */
export class BytesInFlight {
  readonly #most: number;
  #bytes = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** @throws ApiError 429 */
  take(bytes: number): void {
    if (this.#bytes + bytes > this.#most) throw tooBusy('too many bytes are under way', 1000);
    this.#bytes += bytes;
  }

  give(bytes: number): void {
    this.#bytes -= bytes;
  }
}

function tooLarge(most: number): ApiError {
  return new ApiError(413, 'request_too_large', `the body is larger than ${most} bytes`, {
    headers: { connection: 'close' },
  });
}

export interface BodyReading {
  /** Bytes that the body may have. */
  readonly most: number;
  readonly inFlight: BytesInFlight;
  /** Counts what is held of `inFlight`, for who gives it back. */
  readonly taken: { bytes: number };
  readonly signal: AbortSignal;
}

/** @throws ApiError 413, 429; ClientGone; the signal's reason */
export function readBody(
  incoming: IncomingMessage,
  { most, inFlight, taken, signal }: BodyReading,
): Promise<Uint8Array> {
  const declared = Number(incoming.headers['content-length'] ?? 0);
  if (declared > most) throw tooLarge(most);
  return new Promise((resolve, reject) => {
    // Chunks as small as a sender likes would take hundreds of times their bytes: they are copied into one buffer.
    let bytes = new Uint8Array(Math.min(declared || LEAST, MOST_AHEAD));
    let size = 0;
    const refuse = (error: Error): void => {
      incoming.off('data', take);
      incoming.pause();
      signal.removeEventListener('abort', end);
      reject(error);
    };
    const end = (): void => refuse(signal.reason as Error);
    const take = (chunk: Buffer): void => {
      const filled = size + chunk.length;
      try {
        if (filled > most) throw tooLarge(most);
        inFlight.take(chunk.length);
        taken.bytes += chunk.length;
        if (filled > bytes.length) {
          // To what was declared and no further: it is handed on as it is.
          const ahead = Math.min(4 * bytes.length, declared || Infinity);
          bytes = longer(bytes, size, Math.max(filled, ahead));
        }
        bytes.set(chunk, size);
        size = filled;
      } catch (error) {
        refuse(error as Error);
      }
    };
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
    else incoming.on('data', take);
    incoming.once('end', () => {
      signal.removeEventListener('abort', end);
      resolve(size === bytes.length ? bytes : bytes.slice(0, size));
    });
    const gone = (): void => refuse(new ClientGone('the client went away while it was sending'));
    incoming.once('error', gone);
    incoming.once('close', gone);
  });
}

function longer(bytes: Uint8Array, used: number, length: number): Uint8Array<ArrayBuffer> {
  const longer = new Uint8Array(length);
  longer.set(bytes.subarray(0, used));
  return longer;
}
