/**
 * Checkpoints of a run: `checkpoint-N`, written beside as `checkpoint-N.partial` and renamed when every file is
 * on the disk, so that a folder of that name is complete whatever happens meanwhile.
 */
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { z } from 'zod';

import type { SkippedRecord } from '../data/index.js';
import { createError, FaceLlmError, fromNative } from '../errors.js';
import { decodeText, syncFiles, syncFolder, writeFileAtomic } from '../files/index.js';
import { type BestState, NONE_YET } from './validation/best.js';

export interface TrainerState {
  readonly step: number;
  readonly totalSteps: number;
  readonly totalTokens: number;
  /** Everything that the order and the numbers of a run follow from, by name. */
  readonly inputs: Readonly<Record<string, string>>;
  readonly lastLoss: number;
  /** Of the updates since the last line of the log, so that a resumed run logs what the unbroken one does. */
  readonly unloggedLoss: number;
  readonly unloggedSteps: number;
  /** Records left out since the run began: their pictures cannot be decoded. */
  readonly setAside: readonly SkippedRecord[];
  readonly validation: BestState;
}

const STATE = 'trainer_state.json';
/** Name under which a run's result is gathered. */
const RESULT = 'result';
const PARTIAL = /^(checkpoint-\d+|result|validation)\.partial$/;
export const OPTIMIZER = 'optimizer.safetensors';
const stateSchema = z.object({
  step: z.number().int().min(0),
  totalSteps: z.number().int().min(0),
  totalTokens: z.number().min(0),
  inputs: z.record(z.string(), z.string()),
  lastLoss: z.number(),
  unloggedLoss: z.number(),
  unloggedSteps: z.number().int().min(0),
  setAside: z
    .array(z.object({ index: z.number().int(), problems: z.array(z.string()) }))
    .default([]),
  validation: z
    .object({
      best: z.object({ step: z.number().int(), value: z.number() }).nullable(),
      sinceBest: z.number().int(),
      endedAt: z.number().int().nullable().optional(),
      /** Of earlier versions, whose runs ended where waiting did. */
      isOver: z.boolean().default(false),
    })
    .default({ ...NONE_YET, isOver: false }),
});

/** Steps of the complete checkpoints, rising. */
export async function listCheckpoints(output: string): Promise<number[]> {
  const names = await readdir(output).catch(() => []);
  return names
    .flatMap((name) => {
      const match = /^checkpoint-(\d+)$/.exec(name);
      return match === null ? [] : [Number(match[1])];
    })
    .sort((a, b) => a - b);
}

export function checkpointPath(output: string, step: number): string {
  return join(output, `checkpoint-${step}`);
}

/** @throws TrainingError FACELLM_RUN_INVALID */
export async function readState(directory: string): Promise<TrainerState> {
  const path = join(directory, STATE);
  let isOlder = false;
  try {
    const text = decodeText(await readFile(path), path, 'FACELLM_RUN_INVALID');
    const written: unknown = JSON.parse(text);
    // Earlier versions noted one hash of fewer things, which cannot tell what changed.
    isOlder = typeof written === 'object' && written !== null && 'fingerprint' in written;
    const { validation, ...state } = stateSchema.parse(written);
    const { best, sinceBest, isOver, endedAt = isOver ? state.step : null } = validation;
    return { ...state, validation: { best, sinceBest, endedAt } };
  } catch (cause) {
    const text = isOlder
      ? `${path} is of an older version, which did not note which weights and pictures it was made with; end the ` +
        'run with that version, or train into another folder'
      : `${directory} holds no usable ${STATE}; remove this folder to resume from the one before`;
    throw createError('FACELLM_RUN_INVALID', text, { cause });
  }
}

/** As TrainingError FACELLM_RUN_WRITE, unless the engine has said it better. */
function writeError(target: string, error: unknown): Error {
  const known = fromNative(error);
  if (known instanceof FaceLlmError && known.code !== 'FACELLM_INTERNAL') return known;
  const reason = error instanceof Error ? error.message : String(error);
  return createError(
    'FACELLM_RUN_WRITE',
    `${target} could not be written: ${reason}; make space and resume, earlier checkpoints are intact`,
    { cause: error },
  );
}

/** Undoes what is half done where it fails. @throws TrainingError FACELLM_RUN_WRITE */
async function orNothing<T>(target: string, work: (partial: string) => Promise<T>): Promise<T> {
  const partial = `${target}.partial`;
  try {
    return await work(partial);
  } catch (error) {
    await rm(partial, { recursive: true, force: true }).catch(() => undefined);
    throw writeError(target, error);
  }
}

const writeBeside = (
  target: string,
  write: (directory: string) => Promise<void>,
): Promise<unknown> =>
  orNothing(target, async (partial) => {
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial, { recursive: true });
    await write(partial);
  });

/** What was written beside is on the disk before `use` gets the folder that holds it. */
const settle = (target: string, use: (partial: string) => Promise<void>): Promise<void> =>
  orNothing(target, async (partial) => {
    await syncFiles(partial);
    await use(partial);
    await syncFolder(dirname(target));
  });

/**
 * Writes a checkpoint's files.
 *
 * @returns what waits for the disk and gives them their name: a few seconds of a large model's, in which its training can go
 *   on. It resolves to the complete checkpoint's folder, and is to be called.
 * @throws TrainingError FACELLM_RUN_WRITE, both; the checkpoints before it are untouched
 */
export async function saveCheckpoint(
  output: string,
  state: TrainerState,
  write: (directory: string) => Promise<void>,
): Promise<() => Promise<string>> {
  const target = checkpointPath(output, state.step);
  await writeBeside(target, async (partial) => {
    await write(partial);
    await writeFileAtomic(join(partial, STATE), `${JSON.stringify(state, null, 2)}\n`);
  });
  return async () => {
    await settle(target, async (partial) => {
      await rm(target, { recursive: true, force: true });
      await rename(partial, target);
    });
    return target;
  };
}

/** The files by which a folder is known for an adapter or a model. */
const ENTRY_FILES = ['adapter_config.json', 'config.json'];

/**
 * Puts the run's result at the top of its folder once all of it is on the disk. The file that makes an older result an
 * adapter or a model goes first and the new one's comes last, so that no instant has a folder that loads as a mixture
 * of both: a kill among the renames leaves one that is neither, and the same command writes the result again.
 *
 * @throws TrainingError FACELLM_RUN_WRITE; an older result is untouched unless it was a rename that failed
 */
export async function saveResult(
  output: string,
  write: (directory: string) => Promise<void>,
): Promise<void> {
  const target = join(output, RESULT);
  await writeBeside(target, write);
  await settle(target, async (partial) => {
    const names = await readdir(partial);
    const entries = names.filter((name) => ENTRY_FILES.includes(name));
    const others = names.filter((name) => !entries.includes(name));
    const move = async (moved: readonly string[]): Promise<void> => {
      for (const name of moved) await rename(join(partial, name), join(output, name));
      await syncFolder(output);
    };
    for (const name of entries) await rm(join(output, name), { force: true });
    await syncFolder(output);
    await move(others);
    await move(entries);
    await rm(partial, { recursive: true });
  });
}

/** Removes what a crash left half written; to be called while nothing is being written. */
export async function removePartial(output: string): Promise<void> {
  const names = await readdir(output);
  for (const name of names.filter((entry) => PARTIAL.test(entry))) {
    await rm(join(output, name), { recursive: true, force: true });
  }
}

/**
 * Removes checkpoints beyond the newest `keep` (0: none).
 *
 * @param best step of the checkpoint that stays whatever its age
 */
export async function removeOld(output: string, keep: number, best?: number): Promise<void> {
  if (keep === 0) return;
  const steps = await listCheckpoints(output);
  for (const step of steps.slice(0, -keep).filter((older) => older !== best)) {
    await rm(checkpointPath(output, step), { recursive: true, force: true });
  }
}
