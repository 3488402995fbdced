/**
 * What a run keeps beside its output, in OUTPUT.work: its settings, the pictures as they were listed, and a journal for each
 * process, a line a picture.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

import { createError, FaceLlmError } from '../errors.js';
import {
  isJsonObject,
  JournalFile,
  lockFolder,
  parseJson,
  readOptionalText,
  sha256,
  writeFileAtomic,
} from '../files/index.js';
import { JOURNAL } from './places.js';

const FILES = { unreadable: 'FACELLM_RUN_INVALID', invalid: 'FACELLM_RUN_INVALID' } as const;

export type Settings = Readonly<Record<string, unknown>>;

/** As it was listed at first, and what came later behind it: a picture keeps its place. */
interface List {
  readonly first: number;
  readonly files: readonly string[];
}

export interface WorkFolder {
  /** Pictures of the run, by place. */
  readonly files: readonly string[];
  /** How many of them, the last ones, were not there at the first start. */
  readonly added: number;
  /** What run.json holds. */
  readonly settings: Settings;
}

async function readObject(path: string): Promise<Settings | undefined> {
  const text = await readOptionalText(path, FILES);
  if (text === undefined) return undefined;
  const json = parseJson(text);
  if (json.isValid && isJsonObject(json.value)) return json.value;
  throw createError('FACELLM_RUN_INVALID', `${path} is not as it was written; take another output`);
}

async function readRun(folder: string) {
  const list = (await readObject(join(folder, 'files.json'))) as unknown as List | undefined;
  return { list, before: await readObject(join(folder, 'run.json')) };
}

function grown(list: List | undefined, listed: readonly string[], limit: number): List {
  if (list === undefined)
    return { first: Math.min(limit, listed.length), files: listed.slice(0, limit) };
  const known = new Set(list.files);
  const added = listed.filter((file) => !known.has(file));
  return { first: list.first, files: [...list.files, ...added].slice(0, limit) };
}

const hashOf = ({ first, files }: List): string => sha256(files.slice(0, first).join('\n'));

/** @throws TrainingError FACELLM_RUN_INVALID listing every setting that differs */
function holdAgainst(before: Settings, all: Settings, folder: string): void {
  const names = Object.keys({ ...before, ...all });
  const details = names.flatMap((name) => {
    const [now, then] = [all[name], before[name]].map((one) => JSON.stringify(one) ?? 'nothing');
    return now === then ? [] : [`${name}: begun with ${then}, now ${now}`];
  });
  if (details.length === 0) return;
  const message = `${folder} belongs to a run with other settings; use them again, or another output`;
  throw createError('FACELLM_RUN_INVALID', message, { details });
}

/** Writing takes moments; who holds it longer has gone wrong. */
const LONGEST_WAIT_MS = 60_000;

/** Processes of a run start at once. */
async function lockAtLast(folder: string): Promise<() => Promise<void>> {
  for (const startedAt = performance.now(); ;) {
    try {
      return await lockFolder(folder);
    } catch (error) {
      const isHeld = error instanceof FaceLlmError && error.code === 'FACELLM_RUN_INVALID';
      if (!isHeld || performance.now() - startedAt > LONGEST_WAIT_MS) throw error;
      await setTimeout(20);
    }
  }
}

/**
 * Holds the settings against those that are kept, and lists what has come behind what is listed.
 *
 * @param keeps writes both; else nothing is written
 * @param limit pictures at most
 * @throws TrainingError FACELLM_RUN_INVALID listing every setting that differs; FACELLM_RUN_WRITE
 */
export async function openWorkFolder(
  folder: string,
  settings: Settings,
  listed: readonly string[],
  { keeps, limit = Infinity }: { readonly keeps: boolean; readonly limit?: number | undefined },
): Promise<WorkFolder> {
  if (keeps) await mkdir(folder, { recursive: true });
  const unlock = keeps ? await lockAtLast(folder) : undefined;
  try {
    const { list, before } = await readRun(folder);
    const now = grown(list, listed, limit);
    const { first, files } = now;
    const all: Settings = { ...settings, pictures: hashOf(now) };
    if (before !== undefined) holdAgainst(before, all, folder);
    if (keeps && files.length !== list?.files.length) {
      await writeFileAtomic(join(folder, 'files.json'), JSON.stringify(now));
    }
    if (keeps && before === undefined) {
      await writeFileAtomic(join(folder, 'run.json'), `${JSON.stringify(all, null, 2)}\n`);
    }
    return { files, added: files.length - first, settings: all };
  } finally {
    await unlock?.();
  }
}

/**
 * For what is made of a run that others may be at work on, without a model: who answers, and of which faces, is the run's.
 *
 * @throws TrainingError FACELLM_RUN_INVALID where there is no run, or listing every other setting that differs
 */
export async function readWorkFolder(folder: string, settings: Settings): Promise<WorkFolder> {
  const { list, before } = await readRun(folder);
  if (list === undefined || before === undefined) {
    throw createError(
      'FACELLM_RUN_INVALID',
      `${folder}: there is no run yet; begin one, or name its first output`,
    );
  }
  const { model, faces } = before;
  holdAgainst(before, { ...settings, model, faces, pictures: hashOf(list) }, folder);
  return { files: list.files, added: list.files.length - list.first, settings: before };
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
