/**
 * Scalars for TensorBoard, in its own event files and without its code. A resumed run starts a new
 * file and tells readers to forget the steps after its checkpoint, as torch's `purge_step` does.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { AppendFile, runWriteError } from '../../files/index.js';
import { encodeEvent, frameRecord, type TensorBoardEvent } from './event-encoding.js';
import type { ValidationRecord } from '../validation/validation.js';
import type { StepRecord } from './step-record.js';

const FILE_NAME = /^events\.out\.tfevents\.(\d+)\./;

export interface TensorBoardOptions {
  readonly folder: string;
  /** Step of the checkpoint that the run resumes from. Default 0. */
  readonly resumeStep?: number;
  /** Seconds since 1970; for tests. */
  readonly now?: () => number;
}

/** The tags of a record; those of the Transformers trainer where it has one. */
export function scalarsOf(record: StepRecord): Readonly<Record<string, number>> {
  return {
    'train/loss': record.loss,
    'train/learning_rate': record.learningRate,
    'train/grad_norm': record.gradNorm,
    'train/epoch': record.epoch,
    'speed/samples_per_second': record.samplesPerSecond,
    'speed/tokens_per_second': record.tokensPerSecond,
    // A float has 24 bits, too few for bytes.
    'memory/peak_gib': record.peakBytes / 1024 ** 3,
  };
}

/** Tags of a validation; groups by what they are, such as `eval/accuracy/gender/Female`. */
export function validationScalarsOf(record: ValidationRecord): Readonly<Record<string, number>> {
  const { loss, accuracy, balancedAccuracy, groups, worstGroup, own } = record;
  const ofGroups = groups.flatMap(({ fact, value, ...counts }) => [
    [`eval/loss/${fact}/${value}`, counts.loss] as const,
    ...(counts.accuracy === undefined
      ? []
      : [[`eval/accuracy/${fact}/${value}`, counts.accuracy] as const]),
  ]);
  return {
    'eval/loss': loss,
    ...(accuracy === undefined ? {} : { 'eval/accuracy': accuracy }),
    ...(balancedAccuracy === undefined ? {} : { 'eval/balanced_accuracy': balancedAccuracy }),
    ...(worstGroup?.accuracy === undefined
      ? {}
      : { 'eval/worst_group_accuracy': worstGroup.accuracy }),
    ...Object.fromEntries(ofGroups),
    ...Object.fromEntries(Object.entries(own).map(([name, value]) => [`eval/${name}`, value])),
  };
}

/** TensorBoard reads the files of a folder in the order of their names: ours must come last. */
async function nextSeconds(folder: string, now: number): Promise<number> {
  const seconds = (await readdir(folder)).map((name) => Number(FILE_NAME.exec(name)?.[1] ?? 0));
  return seconds.reduce((latest, each) => Math.max(latest, each + 1), Math.floor(now));
}

export class TensorBoardWriter {
  readonly #file: AppendFile;
  readonly #now: () => number;

  private constructor(file: AppendFile, now: () => number) {
    this.#file = file;
    this.#now = now;
  }

  /**
   * Starts `events.out.tfevents.<seconds>.facellm` in a folder that exists.
   *
   * @throws TrainingError FACELLM_RUN_WRITE
   */
  static async open(options: TensorBoardOptions): Promise<TensorBoardWriter> {
    const { folder, resumeStep = 0, now = () => Date.now() / 1000 } = options;
    let seconds: number;
    try {
      seconds = await nextSeconds(folder, now());
    } catch (cause) {
      throw runWriteError(folder, cause);
    }
    const path = join(folder, `events.out.tfevents.${seconds}.facellm`);
    const writer = new TensorBoardWriter(await AppendFile.open(path, { mustBeNew: true }), now);
    const version = { type: 'version', version: 'brain.Event:2' } as const;
    writer.#append({ wallTime: now(), step: 0, body: version });
    if (resumeStep > 0) {
      writer.#append({ wallTime: now(), step: resumeStep + 1, body: { type: 'restart' } });
    }
    return writer;
  }

  get path(): string {
    return this.#file.path;
  }

  /** Adds scalars by tag at a step; durable after `flush()`. */
  add(step: number, scalars: Readonly<Record<string, number>>): void {
    this.#append({ wallTime: this.#now(), step, body: { type: 'scalars', scalars } });
  }

  /** Adds what {@link scalarsOf} makes of a record; durable after `flush()`. */
  append(record: StepRecord): void {
    this.add(record.step, scalarsOf(record));
  }

  appendValidation(record: ValidationRecord): void {
    this.add(record.step, validationScalarsOf(record));
  }

  /** @throws TrainingError FACELLM_RUN_WRITE */
  flush(): Promise<void> {
    return this.#file.durable();
  }

  /** Flushes and closes; a second call does nothing. */
  close(): Promise<void> {
    return this.#file.close();
  }

  #append(event: TensorBoardEvent): void {
    this.#file.append(frameRecord(encodeEvent(event)));
  }
}
