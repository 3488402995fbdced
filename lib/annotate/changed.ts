/** Pictures that are no longer what was asked about: told by size and time of change, then by their bytes. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import { createError } from '../errors.js';
import { firstDetails, sha256OfFile } from '../files/index.js';
import { FILES_AT_ONCE, mapBounded } from '../jobs/index.js';
import type { Places } from './places.js';

/** `redo` asks them again; `keep` leaves their rows, and does not look. */
export type OnChanged = 'redo' | 'keep';

/** How far it is to tell whether pictures that were answered before have changed since. */
export interface CheckEvent {
  readonly type: 'check';
  readonly done: number;
  readonly total: number;
}

const EVENT_MS = 100;

interface Changed {
  readonly place: number;
  readonly what: 'has changed' | 'cannot be read' | 'is gone';
}

async function changeOf(
  places: Places,
  place: number,
  path: string,
  signal: AbortSignal | undefined,
): Promise<Changed | undefined> {
  signal?.throwIfAborted();
  const found = await stat(path).catch(() => undefined);
  if (found !== undefined && places.hasStamp(place, found)) return undefined;
  const { rows } = await places.line(place);
  const hash = rows[0]?.sha256 ?? null;
  // There were no bytes: it had failed, which asking again is for.
  if (hash === null) return undefined;
  const reading = signal === undefined ? {} : { signal };
  const now =
    found?.isFile() === true
      ? await sha256OfFile(path, (cause) => cause as Error, reading).catch(() => undefined)
      : undefined;
  signal?.throwIfAborted();
  if (now === hash) return undefined;
  const isThere = found !== undefined;
  return {
    place,
    what: now !== undefined ? 'has changed' : isThere ? 'cannot be read' : 'is gone',
  };
}

/**
 * Drops the lines of pictures that have changed, which are then left to ask.
 *
 * @returns the version that each of them is to have, by place
 * @throws TrainingError FACELLM_RUN_INVALID naming them, where it is not said what to do; the signal's reason
 */
export async function leaveChanged(
  places: Places,
  {
    files,
    root,
    changed,
    signal,
    onCheck,
  }: {
    readonly files: readonly string[];
    readonly root: string;
    readonly changed: OnChanged | undefined;
    readonly signal?: AbortSignal | undefined;
    /** Now and then. */
    readonly onCheck?: ((event: CheckEvent) => void) | undefined;
  },
): Promise<ReadonlyMap<number, number>> {
  if (changed === 'keep') return new Map();
  const known = files.flatMap((_, place) => (places.has(place) ? [place] : []));
  const total = known.length;
  let done = 0;
  let toldAt = performance.now();
  const looked = await mapBounded(known, FILES_AT_ONCE, async (place) => {
    const change = await changeOf(places, place, join(root, files[place] ?? ''), signal);
    done++;
    if (performance.now() - toldAt >= EVENT_MS) {
      toldAt = performance.now();
      onCheck?.({ type: 'check', done, total });
    }
    return change;
  });
  const all = looked.filter((one) => one !== undefined);
  if (all.length > 0 && changed === undefined) {
    const details = firstDetails(all.map(({ place, what }) => `${files[place]} ${what}`));
    throw createError(
      'FACELLM_RUN_INVALID',
      `${all.length} of ${known.length} answered pictures are not as they were; ask them again (--changed redo) or keep their rows (--changed keep)`,
      { details },
    );
  }
  const versions = new Map(all.map(({ place }) => [place, places.versionOf(place) + 1]));
  for (const [place, version] of versions) places.drop(place, version);
  return versions;
}
