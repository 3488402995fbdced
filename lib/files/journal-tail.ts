/**
 * Journals that another process is writing, read on from where one had got to. Nothing is locked or changed: what ends
 * without a newline is not there yet, and a journal that was cut, or begun anew, is noticed by the line read last.
 */
import type { FileHandle } from 'node:fs/promises';

import { createError } from '../errors.js';
import { bytesOf } from './append-file.js';
import {
  type JournalEntry,
  type JournalLine,
  type ReadLine,
  readWholeLines,
} from './journal-file.js';
import { sha256 } from './sha256.js';

/** How far a journal was read, and what stood there. */
export interface JournalPlace {
  /** Offset behind the last line read, with its newline. */
  readonly end: number;
  /** Bytes of that line, with its newline. */
  readonly length: number;
  /** sha256 of these bytes, in hexadecimal. */
  readonly sha256: string;
}

export const JOURNAL_START: JournalPlace = { end: 0, length: 0, sha256: sha256('') };

const END_BYTES = 1 << 16;

/**
 * Hands the whole lines behind `place`, about `mostBytes` of them, to `read`, oldest first.
 *
 * @returns how far that was; undefined if the journal is no longer the one that was read up to `place`
 * @throws TrainingError FACELLM_RUN_INVALID if a line is longer than `mostBytes`, or not a JSON object
 */
export async function readJournalFrom(
  handle: FileHandle,
  path: string,
  place: JournalPlace,
  mostBytes: number,
  read: ReadLine,
): Promise<JournalPlace | undefined> {
  const { end: from, length, sha256: expected } = place;
  if (length > Math.min(from, mostBytes)) return undefined;
  if (sha256(await bytesOf(handle, from - length, length)) !== expected) return undefined;
  let last: JournalLine | undefined;
  const limit = from + mostBytes;
  const end = await readWholeLines(
    path,
    (start, wanted) => bytesOf(handle, start, Math.max(0, Math.min(wanted, limit - start))),
    (entry, line) => {
      last = line;
      read(entry, line);
    },
    from,
  );
  if (last === undefined) {
    if ((await handle.stat()).size < limit) return place;
    throw createError(
      'FACELLM_RUN_INVALID',
      `${path}, byte ${from}: expected a line of at most ${mostBytes} bytes; this is no journal`,
    );
  }
  const bytes = await bytesOf(handle, last.start, end - last.start);
  return { end, length: bytes.length, sha256: sha256(bytes) };
}

/** The last whole line; undefined where there is none, or it is no JSON object. */
export async function lastJournalEntry(handle: FileHandle): Promise<JournalEntry | undefined> {
  const { size } = await handle.stat();
  const start = Math.max(0, size - END_BYTES);
  const bytes = await bytesOf(handle, start, size - start);
  const end = bytes.lastIndexOf(0x0a);
  if (end === -1) return undefined;
  const from = end === 0 ? 0 : bytes.lastIndexOf(0x0a, end - 1) + 1;
  let entry: JournalEntry | undefined;
  const bytesAt = (at: number, wanted: number): Promise<Buffer> =>
    Promise.resolve(bytes.subarray(at, Math.min(at + wanted, end + 1)));
  await readWholeLines('', bytesAt, (one) => (entry = one), from).catch(() => undefined);
  return entry;
}
