/**
 * Adapters that a training run has written: its checkpoints, and its result in the run's own folder. Only what lies where its name
 * says is one, nothing behind links; training may delete any at any moment.
 */
import { lstat, readdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';

/** What the run's own folder is called among its checkpoints. */
const RESULT = 'result';
const NAME = /^checkpoint-(\d{1,15})$/;
const NEEDED = ['adapter_config.json', 'adapter_model.safetensors'];
/** Read with an adapter where it is there. */
const SETTINGS = 'facellm_training.json';
/** Of the last updates; what is beyond is not listed. */
const MOST_LISTED = 200;

export interface RunCheckpoint {
  /** Its folder's name, or `result`. */
  readonly id: string;
  /** Updates done; null for the result. */
  readonly step: number | null;
  /** Its real path. */
  readonly folder: string;
  /** Seconds since 1970 of the last write to the adapter. */
  readonly updatedAt: number;
}

const stepOf = (id: string): number | undefined => {
  const digits = NAME.exec(id)?.[1];
  return digits === undefined ? undefined : Number(digits);
};

/** @returns undefined where there is no such file */
async function lookAt(path: string): Promise<{ isPlain: boolean; mtimeMs: number } | undefined> {
  try {
    const stats = await lstat(path);
    return { isPlain: stats.isFile(), mtimeMs: stats.mtimeMs };
  } catch {
    return undefined;
  }
}

/**
 * One of a run's adapters; undefined where there is none of that name.
 *
 * @param run the run's folder, as it really lies
 */
export async function findCheckpoint(run: string, id: string): Promise<RunCheckpoint | undefined> {
  const step = id === RESULT ? null : stepOf(id);
  if (step === undefined) return undefined;
  const folder = step === null ? run : join(run, id);
  if ((await realpath(folder).catch(() => undefined)) !== folder) return undefined;
  const needed = await Promise.all(NEEDED.map((name) => lookAt(join(folder, name))));
  const settings = await lookAt(join(folder, SETTINGS));
  if (settings?.isPlain === false) return undefined;
  if (!needed.every((file) => file?.isPlain === true)) return undefined;
  const written = Math.max(...needed.map((file) => file?.mtimeMs ?? 0));
  return { id, step, folder, updatedAt: Math.floor(written / 1000) };
}

/** The result before all checkpoints, those of later updates before earlier ones: copied files tell no order by their times. */
export async function listCheckpoints(run: string): Promise<RunCheckpoint[]> {
  const names = await readdir(run).catch(() => []);
  const checkpoints = names
    .filter((name) => NAME.test(name))
    .sort((a, b) => (stepOf(b) ?? 0) - (stepOf(a) ?? 0))
    .slice(0, MOST_LISTED);
  const found = await Promise.all([RESULT, ...checkpoints].map((id) => findCheckpoint(run, id)));
  return found.filter((one) => one !== undefined);
}
