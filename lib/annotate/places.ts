/** Which pictures the journals of a run tell of, and where: all journals together are the run, whoever wrote them. */
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { type JournalLine, readJournal } from '../files/index.js';
import type { AnnotationRow } from './annotate-picture.js';

const RANK = /^rank-\d+$/;
/** Of each process, in its folder rank-N. */
export const JOURNAL = 'pictures.jsonl';

export interface PictureLine {
  readonly place: number;
  readonly rows: readonly AnnotationRow[];
  /** Of the run that asked again what had failed. */
  readonly retryId?: string | undefined;
}

/** Where each picture's last line is. Sixteen bytes a picture. */
export class Places {
  readonly journals: string[] = [];
  readonly #journal: Int32Array;
  readonly #start: Float64Array;
  readonly #length: Int32Array;

  constructor(count: number) {
    this.#journal = new Int32Array(count).fill(-1);
    this.#start = new Float64Array(count);
    this.#length = new Int32Array(count);
  }

  set(place: number, journal: number, { start, length }: JournalLine): void {
    this.#journal[place] = journal;
    this.#start[place] = start;
    this.#length[place] = length;
  }

  has(place: number): boolean {
    return (this.#journal[place] ?? -1) >= 0;
  }

  /** How many pictures have none. */
  get missing(): number {
    return this.#journal.reduce((sum, journal) => sum + Number(journal < 0), 0);
  }

  /** Every picture's line, in their order. */
  async *lines(): AsyncGenerator<PictureLine> {
    const handles = await Promise.all(this.journals.map((path) => open(path, 'r')));
    try {
      for (let place = 0; place < this.#journal.length; place++) {
        const handle = handles[this.#journal[place] ?? -1];
        if (handle === undefined) continue;
        const bytes = Buffer.alloc(this.#length[place] ?? 0);
        await handle.read(bytes, 0, bytes.length, this.#start[place] ?? 0);
        yield JSON.parse(bytes.toString('utf8')) as PictureLine;
      }
    } finally {
      await Promise.all(handles.map((handle) => handle.close()));
    }
  }
}

/**
 * An answer stays, whatever comes later; a failure gives way to what came of asking again.
 *
 * @param isFailed by its rows
 * @param forgets whether a failure is left out, by the run that asked again
 */
export async function readPlaces(
  folder: string,
  count: number,
  isFailed: (rows: readonly AnnotationRow[]) => boolean,
  forgets: (retryId: string | undefined) => boolean = () => false,
): Promise<Places> {
  const places = new Places(count);
  for (const name of (await readdir(folder)).filter((one) => RANK.test(one)).sort()) {
    const path = join(folder, name, JOURNAL);
    const journal = places.journals.length;
    const isThere = await readJournal(path, (entry, line) => {
      const { place, rows, retryId } = entry as unknown as PictureLine;
      if (isFailed(rows) && (forgets(retryId) || places.has(place))) return;
      places.set(place, journal, line);
    });
    if (isThere) places.journals.push(path);
  }
  return places;
}
