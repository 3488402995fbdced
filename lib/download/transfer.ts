/**
 * One file over HTTP. Bytes gather beside their target under another name and are kept whatever happens, so that a
 * transfer goes on where the last one was killed; a name of its own the file gets when its hash is right.
 */
import { constants } from 'node:fs';
import { type FileHandle, open, rename } from 'node:fs/promises';
import type { Hash } from 'node:crypto';

import { createError } from '../errors.js';
import { systemCode } from '../files/index.js';
import { type ExpectedHash, startHash } from './hashes.js';
import { firstHeader, type HttpAnswer, type HttpClient } from './http.js';
import { type Asked, refusal } from './refusal.js';
import { networkFailure, type RetryOptions, Transient, withRetries } from './retry.js';

export interface Transfer {
  readonly url: string;
  /** For messages: the path in its repository. */
  readonly name: string;
  readonly size: number;
  readonly hash: ExpectedHash;
  /** Where bytes gather; in the folder of `target`'s file system. */
  readonly partial: string;
  readonly target: string;
}

export interface TransferOptions extends Omit<RetryOptions, 'progress'> {
  readonly client: HttpClient;
  readonly asked: Asked;
  /** Bytes that have come; negative where they turned out wrong and were thrown away. */
  readonly onBytes: (bytes: number) => void;
}

/** A file that came wrong twice is wrong where it comes from. */
const MOST_WRONG = 2;
const READ_BYTES = 1 << 20;

/**
 * Fetches what is missing of a file, checks it and puts it in its place.
 *
 * @throws DownloadError FACELLM_DOWNLOAD_REFUSED, FACELLM_DOWNLOAD_FAILED, FACELLM_DOWNLOAD_CORRUPT,
 *   FACELLM_DOWNLOAD_WRITE; the signal's reason
 */
export async function transferFile(transfer: Transfer, options: TransferOptions): Promise<void> {
  const file = await PartialFile.open(transfer, options);
  try {
    let wrong = 0;
    const attempt = async (): Promise<void> => {
      if (file.position < transfer.size) await receive(file, transfer, options);
      const found = file.digest();
      if (found === transfer.hash.hex) return;
      await file.restart();
      if (++wrong >= MOST_WRONG) throw corrupt(transfer, found);
      throw new Transient(`${transfer.name} came with a wrong hash; once more from its beginning`);
    };
    await withRetries(transfer.name, attempt, { ...options, progress: () => file.furthest });
    await file.settle();
  } finally {
    await file.close();
  }
}

function corrupt({ name, hash, url }: Transfer, found: string): Error {
  return createError(
    'FACELLM_DOWNLOAD_CORRUPT',
    `${name} came twice from ${new URL(url).host} with a wrong hash and is not kept: expected ` +
      `${hash.algorithm} ${hash.hex}, received ${found}; a proxy or mirror on the way may be changing files`,
  );
}

async function receive(
  file: PartialFile,
  transfer: Transfer,
  options: TransferOptions,
): Promise<void> {
  const { client, signal, asked } = options;
  const from = file.position;
  const range = from > 0 ? { range: `bytes=${from}-` } : {};
  const answer = await client.get(transfer.url, range, signal);
  try {
    const isOwn = answer.url.origin === new URL(transfer.url).origin;
    await take(answer, file, transfer, from, () => refusal(answer, asked, isOwn));
  } catch (cause) {
    // Ends the connection: what is left of a large file is not worth reading.
    answer.body.on('error', () => undefined).destroy();
    throw cause;
  }
}

async function take(
  answer: HttpAnswer,
  file: PartialFile,
  { name, size }: Transfer,
  from: number,
  refused: () => Error,
): Promise<void> {
  const host = answer.url.host;
  if (answer.status === 416) {
    await file.restart();
    throw new Transient(`${host} has no byte ${from} of ${name}`);
  }
  if (answer.status !== 200 && answer.status !== 206) throw refused();
  const whole = answer.status === 200 ? firstHeader(answer, 'content-length') : undefined;
  if (whole !== undefined && Number(whole) !== size) {
    throw new Transient(`${host} offers ${name} with ${whole} bytes, expected ${size}`);
  }
  if (answer.status === 206) checkRange(answer, name, from, size);
  // Ranges are refused: what is here already is read once more and let go, so that nothing is lost if this ends too.
  let skip = answer.status === 200 ? from : 0;
  for await (const chunk of bytesOf(answer)) {
    const skipped = Math.min(skip, chunk.length);
    skip -= skipped;
    if (skipped === chunk.length) continue;
    if (file.position + chunk.length - skipped > size) {
      await file.restart();
      throw new Transient(`${host} sends more of ${name} than its ${size} bytes`);
    }
    await file.append(chunk.subarray(skipped));
  }
  if (file.position < size) {
    throw new Transient(`${host} ended ${name} after ${file.position} of ${size} bytes`);
  }
}

async function* bytesOf(answer: HttpAnswer): AsyncGenerator<Buffer, void, undefined> {
  const pieces = answer.body[Symbol.asyncIterator]();
  for (;;) {
    let piece;
    try {
      piece = await pieces.next();
    } catch (cause) {
      throw networkFailure(cause, answer.url.host);
    }
    if (piece.done === true) return;
    yield piece.value as Buffer;
  }
}

function checkRange(answer: HttpAnswer, name: string, from: number, size: number): void {
  const text = firstHeader(answer, 'content-range') ?? '';
  const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(text.trim());
  const isRight =
    Number(match?.[1]) === from && (match?.[3] === '*' || Number(match?.[3]) === size);
  if (isRight) return;
  throw new Transient(
    `${answer.url.host} answers another range of ${name} than bytes ${from} to ${size}: ${JSON.stringify(text.slice(0, 80))}`,
  );
}

/** The bytes that are here already, their hash, and a handle to add to them. */
class PartialFile {
  /** The longest that it has been, for telling progress from standing still. */
  furthest: number;
  readonly #transfer: Transfer;
  readonly #handle: FileHandle;
  readonly #onBytes: (bytes: number) => void;
  #hash: Hash;
  #position: number;

  private constructor(transfer: Transfer, handle: FileHandle, onBytes: (bytes: number) => void) {
    this.#transfer = transfer;
    this.#handle = handle;
    this.#onBytes = onBytes;
    this.#hash = startHash(transfer.hash, transfer.size);
    this.#position = 0;
    this.furthest = 0;
  }

  /** Opens or makes it; what it holds is hashed, which for gigabytes takes seconds. */
  static async open(
    transfer: Transfer,
    { onBytes, signal }: Pick<TransferOptions, 'onBytes' | 'signal'>,
  ): Promise<PartialFile> {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
    const handle = await open(transfer.partial, flags, 0o666).catch((cause: unknown) => {
      throw writeError(transfer.partial, cause);
    });
    const file = new PartialFile(transfer, handle, onBytes);
    try {
      const { size } = await handle.stat();
      if (size > transfer.size) await handle.truncate(0);
      else await file.#readBack(size, signal);
      return file;
    } catch (cause) {
      await handle.close();
      throw cause;
    }
  }

  get position(): number {
    return this.#position;
  }

  async #readBack(size: number, signal: AbortSignal | undefined): Promise<void> {
    const buffer = Buffer.alloc(Math.min(READ_BYTES, size));
    while (this.#position < size) {
      signal?.throwIfAborted();
      const { bytesRead } = await this.#handle.read(buffer, 0, buffer.length, this.#position);
      if (bytesRead === 0) break;
      this.#advance(buffer.subarray(0, bytesRead));
    }
  }

  async append(bytes: Buffer): Promise<void> {
    try {
      for (let done = 0; done < bytes.length;) {
        const { bytesWritten } = await this.#handle.write(
          bytes,
          done,
          bytes.length - done,
          this.#position + done,
        );
        done += bytesWritten;
      }
    } catch (cause) {
      throw writeError(this.#transfer.partial, cause);
    }
    this.#advance(bytes);
  }

  #advance(bytes: Buffer): void {
    this.#hash.update(bytes);
    this.#position += bytes.length;
    this.furthest = Math.max(this.furthest, this.#position);
    this.#onBytes(bytes.length);
  }

  /** In hex; of what is here. */
  digest(): string {
    return this.#hash.copy().digest('hex');
  }

  /** Throws everything away that has come so far. */
  async restart(): Promise<void> {
    await this.#handle.truncate(0);
    this.#hash = startHash(this.#transfer.hash, this.#transfer.size);
    this.#onBytes(-this.#position);
    this.#position = 0;
  }

  /** Makes it durable and gives it its name. */
  async settle(): Promise<void> {
    try {
      await this.#handle.sync();
      await rename(this.#transfer.partial, this.#transfer.target);
    } catch (cause) {
      throw writeError(this.#transfer.target, cause);
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** What a failed write of a download becomes. */
export function writeError(path: string, cause: unknown): Error {
  const code = systemCode(cause);
  const isFull = ['ENOSPC', 'EDQUOT', 'EFBIG'].includes(code);
  const remedy = isFull
    ? 'free space on that disk, then run the same again: what is here is kept'
    : 'check its folder and permissions, or name another one (HF_HOME, HF_HUB_CACHE)';
  return createError('FACELLM_DOWNLOAD_WRITE', `${path} cannot be written (${code}); ${remedy}`, {
    cause,
  });
}
