/**
 * What a run keeps beside its output, in OUTPUT.work: its settings, the pictures as they were listed, and a journal for each
 * process, a line a picture. All journals together are the run, whoever wrote them; of two lines about a picture the later counts.
 */
import { mkdir, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { createError } from '../errors.js';
import {
  isJsonObject,
  type JournalLine,
  lockFolder,
  JournalFile,
  parseJson,
  readJournal,
  readOptionalText,
  sha256,
  writeFileAtomic,
} from '../files/index.js';
import type { AnnotationRow } from './annotate-picture.js';

const RANK = /^rank-\d+$/;
const JOURNAL = 'pictures.jsonl';
const FILES = { unreadable: 'FACELLM_RUN_INVALID', invalid: 'FACELLM_RUN_INVALID' } as const;

export type Settings = Readonly<Record<string, unknown>>;

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
 * Keeps the settings and the list, or holds them against those that are kept.
 *
 * @returns the pictures of the run: those of its first start
 * @throws TrainingError FACELLM_RUN_INVALID listing every setting that differs; FACELLM_RUN_WRITE
 */
export async function openWorkFolder(
  folder: string,
  settings: Settings,
  files: readonly string[],
): Promise<readonly string[]> {
  await mkdir(folder, { recursive: true });
  const listPath = join(folder, 'files.json');
  const kept = await readOptionalText(listPath, FILES);
  const list = kept === undefined ? undefined : parseJson(kept);
  const known =
    list?.isValid === true && Array.isArray(list.value) ? (list.value as string[]) : files;
  if (kept === undefined) await writeFileAtomic(listPath, JSON.stringify(files));
  const all: Settings = { ...settings, pictures: sha256(known.join('\n')) };
  const path = join(folder, 'run.json');
  const text = await readOptionalText(path, FILES);
  if (text === undefined) {
    await writeFileAtomic(path, `${JSON.stringify(all, null, 2)}\n`);
    return known;
  }
  const run = parseJson(text);
  const before = run.isValid && isJsonObject(run.value) ? run.value : {};
  const names = Object.keys({ ...before, ...all });
  const details = names.flatMap((name) => {
    const [now, then] = [all[name], before[name]].map((one) => JSON.stringify(one) ?? 'nothing');
    return now === then ? [] : [`${name}: begun with ${then}, now ${now}`];
  });
  if (details.length === 0) return known;
  const message = `${folder} belongs to a run with other settings; use them again, or another output`;
  throw createError('FACELLM_RUN_INVALID', message, { details });
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

/** This process's own, locked. */
export async function openRankJournal(
  folder: string,
  rank: number,
): Promise<{ readonly journal: JournalFile; readonly close: () => Promise<void> }> {
  const own = join(folder, `rank-${rank}`);
  await mkdir(own, { recursive: true });
  const unlock = await lockFolder(own);
  try {
    const journal = await JournalFile.open(join(own, JOURNAL), () => undefined);
    const close = async (): Promise<void> => {
      await journal.close();
      await unlock();
    };
    return { journal, close };
  } catch (error) {
    await unlock();
    throw error;
  }
}
