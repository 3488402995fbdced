/** Which pictures the journals of a run tell of, and where: all journals together are the run, whoever wrote them. */
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { type JournalLine, readJournal } from '../files/index.js';
import { type AnnotationRow, FAILED, type Stamp } from './annotate-picture.js';

const RANK = /^rank-\d+$/;
/** Of each process, in its folder rank-N. */
export const JOURNAL = 'pictures.jsonl';

export interface PictureLine {
  readonly place: number;
  readonly rows: readonly AnnotationRow[];
  readonly stamp?: Stamp | undefined;
  /** How often the picture had changed before. @default 0 */
  readonly version?: number | undefined;
  /** Of the run that asked again what had failed. */
  readonly retryId?: string | undefined;
}

const ANSWERED = 2;
/** How much came of a picture: a line gives way to one that tells more. */
function yieldOf(rows: readonly AnnotationRow[]): number {
  if (rows.some(({ status }) => FAILED.includes(status))) return 0;
  return rows.every(({ status }) => status === 'ok') ? ANSWERED : 1;
}

/** Where each picture's last line is, and what the file was then. 35 bytes a picture. */
export class Places {
  readonly journals: string[] = [];
  readonly #journal: Int32Array;
  readonly #start: Float64Array;
  readonly #length: Int32Array;
  readonly #size: Float64Array;
  readonly #mtimeMs: Float64Array;
  readonly #version: Uint16Array;
  readonly #yield: Uint8Array;

  constructor(count: number) {
    this.#journal = new Int32Array(count).fill(-1);
    this.#start = new Float64Array(count);
    this.#length = new Int32Array(count);
    this.#size = new Float64Array(count);
    this.#mtimeMs = new Float64Array(count);
    this.#version = new Uint16Array(count);
    this.#yield = new Uint8Array(count);
  }

  /**
   * Takes a line, unless one of the same version is there that tells as much; of two without an answer that of asking again stays.
   *
   * @returns whether it was taken
   */
  set(
    { place, rows, stamp: [size, mtimeMs] = [-1, -1], version = 0, retryId }: PictureLine,
    journal: number,
    { start, length }: JournalLine,
  ): boolean {
    const worth = yieldOf(rows);
    const before = this.#yield[place] ?? 0;
    const isSame = this.has(place) && version === this.versionOf(place);
    const isAgain = worth === before && worth < ANSWERED && retryId !== undefined;
    if (isSame && worth <= before && !isAgain) return false;
    this.#yield[place] = worth;
    this.#journal[place] = journal;
    this.#start[place] = start;
    this.#length[place] = length;
    this.#size[place] = size;
    this.#mtimeMs[place] = mtimeMs;
    this.#version[place] = version;
    return true;
  }

  /** As if it had no line: it is to be asked, at this version. */
  drop(place: number, version: number): void {
    this.#journal[place] = -1;
    this.#version[place] = version;
  }

  /** How often it has changed: a line of a lower version is of other bytes. */
  versionOf(place: number): number {
    return this.#version[place] ?? 0;
  }

  hasStamp(place: number, { size, mtimeMs }: { size: number; mtimeMs: number }): boolean {
    return this.#size[place] === size && this.#mtimeMs[place] === mtimeMs;
  }

  has(place: number): boolean {
    return (this.#journal[place] ?? -1) >= 0;
  }

  /** How many pictures have none. */
  get missing(): number {
    return this.#journal.reduce((sum, journal) => sum + Number(journal < 0), 0);
  }

  /** One picture's line. */
  async line(place: number): Promise<PictureLine> {
    await using handle = await open(this.journals[this.#journal[place] ?? -1] ?? '', 'r');
    return await this.#read(handle, place);
  }

  async #read(handle: FileHandle, place: number): Promise<PictureLine> {
    const bytes = Buffer.alloc(this.#length[place] ?? 0);
    await handle.read(bytes, 0, bytes.length, this.#start[place] ?? 0);
    return JSON.parse(bytes.toString('utf8')) as PictureLine;
  }

  /** Every picture's line, in their order. */
  async *lines(): AsyncGenerator<PictureLine> {
    const handles = await Promise.all(this.journals.map((path) => open(path, 'r')));
    try {
      for (let place = 0; place < this.#journal.length; place++) {
        const handle = handles[this.#journal[place] ?? -1];
        if (handle === undefined) continue;
        yield await this.#read(handle, place);
      }
    } finally {
      await Promise.all(handles.map((handle) => handle.close()));
    }
  }
}

/** Asking again. */
export interface Retry {
  /** Whether a picture with these rows, which count, is to be asked again. */
  isRetried(rows: readonly AnnotationRow[]): boolean;
  /** Pictures with a line of this one have been. @default none has */
  readonly id?: string | undefined;
}

/**
 * An answer stays, whatever comes later, and a failure gives way to what came of asking again, as long as the picture is the same: of one
 * that had changed the later version counts, in whose journal whatsoever it stands. What counts does not depend on who reads.
 *
 * @param retry leaves out what it has still to ask
 */
export async function readPlaces(folder: string, count: number, retry?: Retry): Promise<Places> {
  const places = new Places(count);
  const isRetried = new Uint8Array(retry === undefined ? 0 : count);
  const isAsked = new Uint8Array(isRetried.length);
  for (const name of (await readdir(folder)).filter((one) => RANK.test(one)).sort()) {
    const path = join(folder, name, JOURNAL);
    const journal = places.journals.length;
    const isThere = await readJournal(path, (entry, line) => {
      const picture = entry as unknown as PictureLine;
      const { place, rows, version = 0, retryId } = picture;
      const before = places.versionOf(place);
      if (version < before) return;
      const isTaken = places.set(picture, journal, line);
      if (retry === undefined) return;
      if (version > before) isAsked[place] = 0;
      if (isTaken) isRetried[place] = Number(retry.isRetried(rows));
      if (retry.id !== undefined && retryId === retry.id) isAsked[place] = 1;
    });
    if (isThere) places.journals.push(path);
  }
  for (const [place, again] of isRetried.entries()) {
    if (again === 1 && isAsked[place] === 0) places.drop(place, places.versionOf(place));
  }
  return places;
}
