/**
 * A folder of pictures to one table: faces found, each asked, a row for every face and for every picture without.
 * Pictures go into the model's loop many at a time, so that their questions share steps and prefixes.
 */
import { setMaxListeners } from 'node:events';
import { join } from 'node:path';

import { Calibration } from '../calibration/index.js';
import { createError } from '../errors.js';
import { rankFromEnvironment } from '../evaluation/index.js';
import { type FaceOptions, faceOptions, faceSettings, resolveAskedFaces } from '../faces/index.js';
import { JobRun, prefetch } from '../jobs/index.js';
import {
  abortSignal,
  checkFields,
  field,
  fields,
  flag,
  kindOf,
  list,
  name,
  whole,
  word,
} from '../options/index.js';
import {
  type AnnotatingModel,
  annotatePicture,
  type AnnotationRow,
  type RowStatus,
} from './annotate-picture.js';
import { compose, openTable, type RowSink } from './compose.js';
import { listPictures } from './pictures.js';
import { type AnnotationQuestion, checkQuestions } from './questions.js';
import { Sheet } from './sheet.js';
import { openRankJournal, openWorkFolder, readPlaces } from './work-folder.js';

export interface AnnotateOptions {
  /** A folder, looked through to its depths, or a text file with a path a line, relative to it. */
  readonly input: string;
  /** One file or several, .jsonl, .csv or .parquet; the first names the work folder, OUTPUT.work. */
  readonly output: string | readonly string[];
  readonly model: AnnotatingModel;
  readonly questions: readonly AnnotationQuestion[];
  /** `off`: whole pictures. @default each face on its own */
  readonly faces?: FaceOptions | 'off' | undefined;
  /** A contact sheet of the least sure rows: one HTML file with their pictures in it. @default none */
  readonly sheet?: string | undefined;
  /** Of the sheet, at most. @default 100 */
  readonly sheetRows?: number | undefined;
  /** Of `loadCalibration`, for this model and all of these questions: adds calibrated probabilities. @default none */
  readonly calibration?: Calibration | undefined;
  /** Only the first so many pictures of the list. */
  readonly limit?: number | undefined;
  /** Asks pictures again that could not be read or answered. @default false */
  readonly retryFailed?: boolean | undefined;
  /** Pictures under way at a time. @default 16 */
  readonly ahead?: number | undefined;
  /** Of RANK and WORLD_SIZE, or SLURM_PROCID and SLURM_NTASKS. @default process.env */
  readonly environment?: NodeJS.ProcessEnv | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface AnnotationEvent {
  readonly type: 'progress';
  /** Of this process's share. */
  readonly done: number;
  readonly total: number;
}

export interface AnnotationResult {
  /** Written files; empty where other processes still have pictures to do, or the run was stopped. */
  readonly outputs: readonly string[];
  readonly pictures: number;
  readonly rows: number;
  /** Rows by status. */
  readonly statuses: Readonly<Partial<Record<RowStatus, number>>>;
  /** Pictures not yet done, by anybody. */
  readonly missing: number;
}

/** Some 30 kB each. */
const MOST_SHEET_ROWS = 2000;
const outputName = name('a name that ends in .jsonl, .csv or .parquet');
const annotateOptions = fields<AnnotateOptions>({
  input: name('a folder of pictures, or a text file with a path a line'),
  output: kindOf<string | readonly string[]>((value) =>
    Array.isArray(value) ? list(outputName, 'a list of files', 1) : outputName,
  ),
  model: field<AnnotatingModel>(
    'a loaded model, or what has its fingerprint and its choose()',
    (value) =>
      typeof value === 'object' && value !== null && 'fingerprint' in value && 'choose' in value,
  ),
  // checkQuestions() tells what is wrong with them.
  questions: field<readonly AnnotationQuestion[]>('a list of questions', Array.isArray),
  faces: kindOf<FaceOptions | 'off'>((value) =>
    typeof value === 'string' ? word('off') : faceOptions,
  ).optional(),
  sheet: name('a name that ends in .html').optional(),
  sheetRows: whole(1, MOST_SHEET_ROWS).optional(),
  calibration: field<Calibration>(
    'what loadCalibration() gives',
    (value) => value instanceof Calibration,
  ).optional(),
  limit: whole(1).optional(),
  retryFailed: flag.optional(),
  ahead: whole(1, 4096).optional(),
  environment: field<NodeJS.ProcessEnv>(
    'names with a text each',
    (value) => typeof value === 'object' && value !== null,
  ).optional(),
  signal: abortSignal.optional(),
});

export type AnnotationRun = JobRun<AnnotationEvent, AnnotationResult>;

/** Neighbours of the list stay together; processes take such units in turn. */
const UNIT = 256;
const DURABLE_EVERY = 32;
const AHEAD = 16;
const FAILED: readonly RowStatus[] = ['unreadable', 'too-large', 'model-error'];

const hasFailed = (rows: readonly AnnotationRow[]): boolean =>
  rows.some(({ status }) => FAILED.includes(status));

function outputsOf({ output, sheet }: AnnotateOptions): readonly [string, ...string[]] {
  const [first, ...others] = [output].flat();
  const details = [first ?? '', ...others]
    .filter((path) => !/\.(jsonl|csv|parquet)$/.test(path))
    .map(
      (path) => `output: expected a name that ends in .jsonl, .csv or .parquet, received ${path}`,
    );
  if (sheet?.endsWith('.html') === false) {
    details.push(`sheet: expected a name that ends in .html, received ${sheet}`);
  }
  if (first !== undefined && details.length === 0) return [first, ...others];
  throw createError('FACELLM_INVALID_ARGUMENT', 'the outputs are wrong', { details });
}

/** What is made of the rows once all are there. */
function sinksOf(
  { sheet, sheetRows: most = 100, calibration }: AnnotateOptions,
  outputs: readonly string[],
  root: string,
  questions: readonly AnnotationQuestion[],
): readonly (() => Promise<RowSink> | RowSink)[] {
  return [
    ...outputs.map((path) => () => openTable(path, questions, calibration !== undefined)),
    ...(sheet === undefined ? [] : [() => new Sheet({ path: sheet, most, root, questions })]),
  ];
}

async function run(options: AnnotateOptions, job: AnnotationRun): Promise<AnnotationResult> {
  const outputs = outputsOf(options);
  const questions = checkQuestions(options.questions);
  const { model, faces = {}, limit, ahead = AHEAD, retryFailed = false } = options;
  const { calibration } = options;
  const { rank, worldSize } = rankFromEnvironment(options.environment);
  const signal = AbortSignal.any([job.stopSignal, ...(options.signal ? [options.signal] : [])]);
  setMaxListeners(0, signal); // a listener for each face under way
  const { root, files: listed } = await listPictures(options.input);
  // What is left open is as the model was trained, where that was on chips.
  const resolved =
    faces === 'off' ? undefined : resolveAskedFaces({ which: 'each', ...faces }, model.faces);
  const settings = {
    ...{ model: model.fingerprint, questions, limit: limit ?? null },
    faces: resolved === undefined ? 'off' : faceSettings(resolved),
    ...(calibration !== undefined && { calibration: calibration.file }),
  };
  const folder = `${outputs[0]}.work`;
  const files = await openWorkFolder(folder, settings, listed.slice(0, limit ?? listed.length));
  const known = await readPlaces(folder, files.length, hasFailed, retryFailed);
  const own: number[] = [];
  for (let place = 0; place < files.length; place++) {
    if (Math.floor(place / UNIT) % worldSize === rank && !known.has(place)) own.push(place);
  }
  const { journal, close } = await openRankJournal(folder, rank);
  try {
    const work = { model, questions, calibration, faces: resolved, signal };
    let done = 0;
    const annotated = prefetch(own, ahead, async (place) => {
      signal.throwIfAborted();
      const file = files[place] ?? '';
      return { place, rows: await annotatePicture(work, file, join(root, file)) };
    });
    for await (const line of annotated) {
      journal.append({ ...line });
      if (++done % DURABLE_EVERY === 0) await journal.durable();
      job.emit({ type: 'progress', done, total: own.length });
    }
  } catch (error) {
    if (!job.isStopping) throw error;
  } finally {
    await close();
  }
  const places = await readPlaces(folder, files.length, hasFailed);
  const { missing } = places;
  const result = { pictures: files.length, missing };
  if (missing > 0) return { ...result, outputs: [], rows: 0, statuses: {} };
  const sinks = sinksOf(options, outputs, root, questions);
  const made = [...outputs, ...(options.sheet === undefined ? [] : [options.sheet])];
  return { ...result, outputs: made, ...(await compose(places, sinks)) };
}

/**
 * Asks every face of every picture every question. The run can be stopped and killed at any point; the same call goes on
 * where it was, with any number of processes. One bad picture never ends it: it has a row that says what is wrong. Rows stand in the
 * order of the list. With a model of `deterministic: true` the outputs are equal to the byte, however often the run was killed and
 * however many processes shared it.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT listing every wrong option; DataError FACELLM_QUESTIONS_INVALID, FACELLM_DATA_NOT_FOUND, FACELLM_DATA_INVALID; TrainingError
 *   FACELLM_RUN_INVALID for a run begun with other settings, FACELLM_RUN_WRITE; what the model throws when it is gone
 */
export function annotate(options: AnnotateOptions): AnnotationRun {
  return new JobRun((job) =>
    run(checkFields(annotateOptions, options, 'the options of annotate are wrong'), job),
  );
}
