/**
 * `trainer_log.jsonl` with the keys and formats of LLaMA-Factory (LogCallback.on_log in
 * src/llamafactory/train/callbacks.py), so that its plots and dashboards read our runs.
 *
 * Deviations: `grad_norm`, under the name that Transformers logs it by, stands at the end of a line; the loss and it
 * keep 6 significant digits where Transformers keeps 4 decimals, which would flatten small losses; `remaining_time` and `throughput` of a resumed run count only its own steps
 * (theirs divides all steps by the time of the last process).
 */
import { join } from 'node:path';

import { JournalFile, type JournalLine } from '../../files/index.js';
import { formatDuration } from '../../progress/index.js';
import type { ValidationRecord } from '../validation/validation.js';
import type { StepRecord } from './step-record.js';

export const TRAINER_LOG_NAME = 'trainer_log.jsonl';

/** One line; keys whose value is missing or not finite are absent. */
export interface TrainerLogEntry {
  readonly current_steps: number;
  readonly total_steps: number;
  readonly loss?: number;
  readonly lr?: number;
  readonly epoch?: number;
  /** 0 to 100, two decimals. */
  readonly percentage: number;
  /** `H:MM:SS`. */
  readonly elapsed_time: string;
  /** `H:MM:SS`. */
  readonly remaining_time: string;
  /** Tokens a second, two decimals. */
  readonly throughput?: number;
  readonly total_tokens?: number;
  /** Global L2 norm of the update's gradients before clipping. */
  readonly grad_norm?: number;
}

export interface TrainerLogOptions {
  readonly folder: string;
  /** Step of the checkpoint that the run resumes from; lines after it are dropped. Default 0. */
  readonly resumeStep?: number;
}

function roundTo(value: number, decimals: number): number {
  return Number(value.toFixed(decimals));
}

/** JSON has no NaN: such values are left out, as missing ones are. */
function ifFinite<K extends string>(key: K, value: number): { readonly [key in K]?: number } {
  return (Number.isFinite(value) ? { [key]: value } : {}) as { readonly [key in K]?: number };
}

/** The line of one logging event. `resumeStep` is the step at which `elapsedSeconds` was 0. */
export function trainerLogEntry(record: StepRecord, resumeStep = 0): TrainerLogEntry {
  const { step, totalSteps, elapsedSeconds } = record;
  const ownSteps = step - resumeStep;
  const remaining = ownSteps > 0 ? ((totalSteps - step) * elapsedSeconds) / ownSteps : 0;
  return {
    current_steps: step,
    total_steps: totalSteps,
    ...ifFinite('loss', Number(record.loss.toPrecision(6))),
    ...ifFinite('lr', record.learningRate),
    ...ifFinite('epoch', roundTo(record.epoch, 6)),
    percentage: totalSteps === 0 ? 100 : roundTo((100 * step) / totalSteps, 2),
    elapsed_time: formatDuration(elapsedSeconds),
    remaining_time: formatDuration(remaining),
    ...(record.totalTokens > 0
      ? {
          ...ifFinite('throughput', roundTo(record.tokensPerSecond, 2)),
          total_tokens: record.totalTokens,
        }
      : {}),
    ...ifFinite('grad_norm', Number(record.gradNorm.toPrecision(6))),
  };
}

/** The line of a validation: `eval_loss` as theirs, and ours beside it. */
export function validationLogEntry(record: ValidationRecord): Readonly<Record<string, unknown>> {
  const { step, totalSteps, epoch, loss, accuracy, balancedAccuracy, groups, worstGroup, own } =
    record;
  return {
    current_steps: step,
    total_steps: totalSteps,
    ...ifFinite('eval_loss', Number(loss.toPrecision(6))),
    ...ifFinite('eval_accuracy', accuracy ?? Number.NaN),
    ...ifFinite('eval_balanced_accuracy', balancedAccuracy ?? Number.NaN),
    ...ifFinite('epoch', roundTo(epoch, 6)),
    ...(groups.length > 0 ? { eval_groups: groups } : {}),
    ...(worstGroup === undefined ? {} : { eval_worst_group: worstGroup }),
    ...(Object.keys(own).length > 0 ? { eval_own: own } : {}),
    eval_is_best: record.isBest,
  };
}

export class TrainerLog {
  readonly #log: JournalFile;
  readonly #resumeStep: number;

  private constructor(log: JournalFile, resumeStep: number) {
    this.#log = log;
    this.#resumeStep = resumeStep;
  }

  /**
   * Opens `trainer_log.jsonl` in a folder that exists, without the lines after `resumeStep`; a run
   * from step 0 begins an empty log, as LLaMA-Factory's does.
   *
   * @throws TrainingError FACELLM_RUN_WRITE, or FACELLM_RUN_INVALID if a line is not a JSON object
   */
  static async open({ folder, resumeStep = 0 }: TrainerLogOptions): Promise<TrainerLog> {
    let newer: JournalLine | undefined;
    const log = await JournalFile.open(join(folder, TRAINER_LOG_NAME), (entry, line) => {
      if (Number(entry['current_steps']) > resumeStep) newer ??= line;
    });
    if (newer !== undefined) log.dropFrom(newer);
    return new TrainerLog(log, resumeStep);
  }

  /** Adds the line of one logging event; durable after `flush()`. */
  append(record: StepRecord): void {
    this.#log.append({ ...trainerLogEntry(record, this.#resumeStep) });
  }

  appendValidation(record: ValidationRecord): void {
    this.#log.append({ ...validationLogEntry(record) });
  }

  /** @throws TrainingError FACELLM_RUN_WRITE */
  flush(): Promise<void> {
    return this.#log.durable();
  }

  /** Flushes and closes; a second call does nothing. */
  close(): Promise<void> {
    return this.#log.close();
  }
}
