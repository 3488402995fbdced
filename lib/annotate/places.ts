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

/** How much came of a picture: a line gives way to one that tells more. */
function yieldOf(rows: readonly AnnotationRow[]): number {
  if (rows.some(({ status }) => FAILED.includes(status))) return 0;
  return rows.every(({ status }) => status === 'ok') ? 2 : 1;
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

  /** Takes a line, unless one of the same version is there that tells as much. */
  set(
    { place, rows, stamp: [size, mtimeMs] = [-1, -1], version = 0 }: PictureLine,
    journal: number,
    { start, length }: JournalLine,
  ): void {
    const worth = yieldOf(rows);
    const isSame = this.has(place) && version === this.versionOf(place);
    if (isSame && worth <= (this.#yield[place] ?? 0)) return;
    this.#yield[place] = worth;
    this.#journal[place] = journal;
    this.#start[place] = start;
    this.#length[place] = length;
    this.#size[place] = size;
    this.#mtimeMs[place] = mtimeMs;
    this.#version[place] = version;
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

/** Of a line: to be left out, as its picture is to be asked again. */
export type Forgets = (line: Pick<PictureLine, 'rows' | 'retryId'>) => boolean;

/**
 * An answer stays, whatever comes later, and a failure gives way to what came of asking again, as long as the picture is the same: of one
 * that had changed the later version counts, in whose journal whatsoever it stands.
 */
export async function readPlaces(
  folder: string,
  count: number,
  forgets: Forgets = () => false,
): Promise<Places> {
  const places = new Places(count);
  for (const name of (await readdir(folder)).filter((one) => RANK.test(one)).sort()) {
    const path = join(folder, name, JOURNAL);
    const journal = places.journals.length;
    const isThere = await readJournal(path, (entry, line) => {
      const picture = entry as unknown as PictureLine;
      const { place, version = 0 } = picture;
      const before = places.versionOf(place);
      if (version < before) return;
      if (!forgets(picture)) places.set(picture, journal, line);
      else if (version > before) places.drop(place, version);
    });
    if (isThere) places.journals.push(path);
  }
  return places;
}
