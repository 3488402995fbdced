/** The log of a run as it grows: its records, and whether it was begun anew or is gone. */
import type { FileHandle } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

import {
  JOURNAL_START,
  type JournalEntry,
  type JournalPlace,
  readJournalFrom,
} from '../files/index.js';
import { LOG_NAME } from './run-folders.js';

/** Whoever trains writes a record every few seconds; looking costs a few system calls. */
const LOOK_EVERY_MS = 500;
/** Bytes of records that are told at a time, and the longest line. */
const SLICE_BYTES = 1 << 18;

export type RunNews =
  | {
      readonly type: 'records';
      readonly records: readonly JournalEntry[];
      /** Whoever has these goes on from here. */
      readonly position: string;
    }
  /** What was told is not so any more; all of the log follows. */
  | { readonly type: 'restart' }
  /** All that is written has been told; so long ago it was. */
  | { readonly type: 'caught_up'; readonly ageMs: number }
  /** The log is not there any more; nothing follows. */
  | { readonly type: 'gone' };

const textOf = ({ end, length, sha256 }: JournalPlace): string => `${end}.${length}.${sha256}`;

/** Whatever is no position is as good as one of another log. */
function placeOf(position: string): JournalPlace | undefined {
  const match = /^(\d{1,15})\.(\d{1,9})\.([0-9a-f]{64})$/.exec(position);
  if (match === null) return undefined;
  const [, end, length, sha256 = ''] = match;
  return { end: Number(end), length: Number(length), sha256 };
}

/**
 * Ends when the run is gone.
 *
 * @param openLog undefined: it is not there
 * @param position of the last records that were told before; undefined: all are told
 * @throws the signal's reason; TrainingError FACELLM_RUN_INVALID if the log is none
 */
export async function* watchRun(
  openLog: () => Promise<FileHandle | undefined>,
  position: string | undefined,
  signal: AbortSignal,
): AsyncGenerator<RunNews, void, undefined> {
  let place = position === undefined ? JOURNAL_START : placeOf(position);
  let seen = '';
  for (;;) {
    signal.throwIfAborted();
    const handle = await openLog();
    if (handle === undefined) {
      yield { type: 'gone' };
      return;
    }
    try {
      const { ino, size, mtimeMs } = await handle.stat();
      const now = `${ino} ${size} ${mtimeMs}`;
      if (now !== seen) {
        for (;;) {
          const records: JournalEntry[] = [];
          const before: JournalPlace | undefined = place;
          place =
            before &&
            (await readJournalFrom(handle, LOG_NAME, before, SLICE_BYTES, (entry) =>
              records.push(entry),
            ));
          if (place === undefined) {
            place = JOURNAL_START;
            yield { type: 'restart' };
          } else if (records.length === 0) break;
          else yield { type: 'records', records, position: textOf(place) };
          signal.throwIfAborted();
        }
        yield { type: 'caught_up', ageMs: Math.max(0, Math.round(Date.now() - mtimeMs)) };
        seen = now;
      }
    } finally {
      await handle.close();
    }
    // Its own error says less than the reason, which the next look throws.
    await sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined);
  }
}
