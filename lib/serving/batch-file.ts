/** A file of requests answered without a server: the same lines, the same answers, resumable. */
import { mkdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';

import type { Calibration } from '../calibration/index.js';
import { createError } from '../errors.js';
import { lockFolder } from '../files/index.js';
import { JobRun } from '../jobs/index.js';
import type { FaceLlm } from '../model/index.js';
import { abortSignal, checkFields, field, fields, flag, name, whole } from '../options/index.js';
import { Admission } from './admission.js';
import { shuttingDown } from './api-error.js';
import { type BatchFault, readBatchLines } from './batch-lines.js';
import { type BatchCounts, runBatch, writeResults } from './batch-run.js';
import { settingsOf } from './batch-settings.js';
import { BodyParser } from './body-parser.js';
import { Calibrations } from './calibrations.js';
import { Catalogue, checkNames } from './catalogue.js';
import { RIGHTS } from './keys.js';
import { answerShapes, DEFAULT_LIMITS, policyOf, type ServeOptions } from './options.js';
import type { EngineState } from './state.js';

export interface BatchOptions extends Pick<ServeOptions, 'calibration' | 'faces'> {
  /** A loaded model, which stays the caller's; its adapters are models of their own. */
  readonly model: FaceLlm;
  /** JSON lines `{custom_id, method: "POST", url, body}`, as OpenAI's batches have them. */
  readonly input: string;
  /** JSON lines, in the order of the input; lines that failed go to OUTPUT.errors.jsonl. OUTPUT.work keeps what is answered. */
  readonly output: string;
  /** Id of the base model in requests. @default facellm */
  readonly servedName?: string | undefined;
  /** Requests under way at a time. @default 16 */
  readonly ahead?: number | undefined;
  /** Asks lines again that failed; what is answered stays. @default false */
  readonly retryFailed?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface BatchEvent extends BatchCounts {
  readonly type: 'progress';
}

export interface BatchResult extends BatchCounts {
  readonly output: string;
  /** Of the lines that failed; undefined where none did. */
  readonly errors: string | undefined;
  /** Lines not answered yet, of a run that was stopped. */
  readonly missing: number;
}

export type BatchFileRun = JobRun<BatchEvent, BatchResult>;

/** Of a file without a server; a server's have their own bound. */
const MOST_LINES = 10_000_000;
const AHEAD = 16;
const SUMMARY = 'the options of the batch are wrong';

const batchOptions = fields<BatchOptions>({
  model: field<FaceLlm>('a loaded model', (value) => typeof value === 'object' && value !== null),
  input: name('a file of JSON lines'),
  output: name('a file'),
  ...answerShapes,
  ahead: whole(1, 4096).optional(),
  retryFailed: flag.optional(),
  signal: abortSignal.optional(),
});

/** @throws DataError FACELLM_DATA_INVALID listing the first faults by their lines */
export function refuseFaults(path: string, faults: readonly BatchFault[]): void {
  if (faults.length === 0) return;
  throw createError('FACELLM_DATA_INVALID', `${path} cannot be asked`, {
    details: faults.map(({ line, code, message }) => `line ${line}: ${message} (${code})`),
  });
}

/**
 * Answers every line of a file. The run can be stopped and killed at any point; the same call goes on where it was.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT. The run rejects with DataError FACELLM_DATA_NOT_FOUND,
 *   FACELLM_DATA_INVALID listing faulty lines, FACELLM_CALIBRATION_MISMATCH; TrainingError FACELLM_RUN_INVALID where the
 *   output belongs to another input, model, adapters, calibration, faces or names, each difference listed, FACELLM_RUN_WRITE
 */
export function batch(options: BatchOptions): BatchFileRun {
  const checked = checkFields(batchOptions, options, SUMMARY);
  return new JobRun((run) => runFile(checked, run));
}

/** @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT */
async function refuseOverwriting(input: string, outputs: readonly string[]): Promise<void> {
  const [own, ...others] = await Promise.all(
    [input, ...outputs].map((path) => realpath(path).catch(() => undefined)),
  );
  if (own === undefined || !others.includes(own)) return;
  const details = [`output: ${outputs.join(' and ')} would replace the input; name another one`];
  throw createError('FACELLM_INVALID_ARGUMENT', SUMMARY, { details });
}

async function runFile(options: BatchOptions, run: BatchFileRun): Promise<BatchResult> {
  const { model, input, output, ahead = AHEAD, retryFailed } = options;
  const stop = run.stopSignal;
  const signal = options.signal === undefined ? stop : AbortSignal.any([options.signal, stop]);
  const { bodyBytes: lineBytes } = DEFAULT_LIMITS;
  const { lines, faults } = await readBatchLines(input, { lines: MOST_LINES, lineBytes });
  refuseFaults(input, faults);
  const errors = `${output}.errors.jsonl`;
  await refuseOverwriting(input, [output, errors]);
  const catalogue = new Catalogue(model, options.servedName ?? 'facellm');
  checkNames(catalogue.ids, SUMMARY);
  const files = [options.calibration ?? []].flat() as readonly Calibration[];
  const calibrations = new Calibrations(model, files, false);
  const settings = settingsOf(model, catalogue.ids, files, options.faces);
  const folder = `${output}.work`;
  await mkdir(folder, { recursive: true });
  const unlock = await lockFolder(folder);
  const parser = new BodyParser();
  const policy = policyOf(options);
  const state: EngineState = {
    ...{ model, policy, parser, catalogue, calibrations, streams: 0, ending: signal },
    admission: new Admission(policy.limits, ahead),
  };
  const journal = join(folder, 'answers.jsonl');
  const caller = { name: '', rights: new Set(RIGHTS) };
  const abort = new AbortController();
  const end = (): void => abort.abort(signal.reason ?? shuttingDown());
  signal.addEventListener('abort', end, { once: true });
  if (signal.aborted) end();
  let counts: BatchCounts = { total: lines.length, completed: 0, failed: 0 };
  try {
    await runBatch({
      ...{ state, caller, input, lines, journal, settings, retryFailed, ahead },
      signal: abort.signal,
      onProgress: (progress) => {
        counts = progress;
        run.emit({ type: 'progress', ...progress });
      },
    });
    await writeResults({ input, lines, journal, settings }, output, errors);
    return { ...counts, output, errors: counts.failed > 0 ? errors : undefined, missing: 0 };
  } catch (error) {
    if (!run.isStopping || !abort.signal.aborted) throw error;
    const missing = lines.length - counts.completed - counts.failed;
    return { ...counts, output, errors: undefined, missing };
  } finally {
    signal.removeEventListener('abort', end);
    await parser.close();
    await unlock();
  }
}
