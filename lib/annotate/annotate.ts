/**
 * A folder of pictures to one table: faces found, each asked, a row for every face and for every picture without.
 * Pictures go into the model's loop many at a time, so that their questions share steps and prefixes.
 */
import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { join } from 'node:path';

import { rankFromEnvironment } from '../evaluation/index.js';
import { JobRun, prefetch } from '../jobs/index.js';
import { loadParquetWriter } from '../packages/parquet.js';
import { annotatePicture, type RowStatus } from './annotate-picture.js';
import { type CheckEvent, leaveChanged } from './changed.js';
import { type AnnotateOptions, isRetried, prepare, type PreparedRun } from './options.js';
import { groupingOf, writeOutputs } from './outputs.js';
import { listPictures, rootOf } from './pictures.js';
import { type Places, readPlaces, type Retry } from './places.js';
import { openRankJournal, openWorkFolder, readWorkFolder } from './work-folder.js';

/** How far the asking is, of this process's share. */
export interface ProgressEvent {
  readonly type: 'progress';
  readonly done: number;
  readonly total: number;
}

/** Checks come before the asking. */
export type AnnotationEvent = CheckEvent | ProgressEvent;

export interface AnnotationResult {
  /** Written files; empty where other processes still have pictures to do, or the run was stopped; `exportAnnotation` writes them nevertheless. */
  readonly outputs: readonly string[];
  readonly pictures: number;
  /** How many of them came after the run's first start. */
  readonly added: number;
  readonly rows: number;
  /** Rows by status. */
  readonly statuses: Readonly<Partial<Record<RowStatus, number>>>;
  /** Pictures not yet done, by anybody. */
  readonly missing: number;
}

export type AnnotationRun = JobRun<AnnotationEvent, AnnotationResult>;

/** Neighbours of the list stay together; processes take such units in turn. */
const UNIT = 256;
const DURABLE_EVERY = 32;
async function run(prepared: PreparedRun, job: AnnotationRun): Promise<AnnotationResult> {
  const { options, fields, faces, settings, folder, ahead, isFaceLlm } = prepared;
  const { model, schema, calibration, limit, retryFailed = false } = options;
  const { rank, worldSize } = rankFromEnvironment(options.environment);
  const signal = AbortSignal.any([job.stopSignal, ...(options.signal ? [options.signal] : [])]);
  setMaxListeners(0, signal); // a listener for each face under way
  // Before anything is asked: a group or a package that is not there is no reason to lose a night.
  const groups = await groupingOf(options, fields);
  if (prepared.outputs.some((path) => path.endsWith('.parquet'))) await loadParquetWriter();
  const { root, files: listed } = await listPictures(options.input);
  const opened = await openWorkFolder(folder, settings, listed, { keeps: true, limit });
  const { files, added } = opened;
  const retryId =
    retryFailed === false
      ? undefined
      : (options.retryId ?? (worldSize === 1 ? randomUUID() : undefined));
  const retry: Retry = { isRetried: (rows) => isRetried(rows, retryFailed), id: retryId };
  const known = await readPlaces(folder, files.length, retry);
  let redone: ReadonlyMap<number, number>;
  try {
    const onCheck = (event: CheckEvent): void => job.emit(event);
    redone = await leaveChanged(known, { files, root, changed: options.changed, signal, onCheck });
  } catch (error) {
    if (!job.isStopping) throw error;
    const { missing } = known;
    return { pictures: files.length, added, missing, outputs: [], rows: 0, statuses: {} };
  }
  const own: number[] = [];
  for (let place = 0; place < files.length; place++) {
    if (Math.floor(place / UNIT) % worldSize === rank && !known.has(place)) own.push(place);
  }
  const { journal, close } = await openRankJournal(folder, rank);
  try {
    const work = { model, fields, schema, calibration, faces, isFaceLlm, signal };
    let done = 0;
    const annotated = prefetch(own, ahead, async (place) => {
      signal.throwIfAborted();
      const file = files[place] ?? '';
      const version = known.versionOf(place) || undefined;
      return { place, ...(await annotatePicture(work, file, join(root, file))), version, retryId };
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
  // What others have still to ask again is missing, where it can be told from what they have.
  const now = async (left?: Retry): Promise<Places> => {
    const places = await readPlaces(folder, files.length, left);
    for (const [place, version] of redone) {
      if (places.versionOf(place) < version) places.drop(place, version);
    }
    return places;
  };
  const { missing } = await now(retryId === undefined ? undefined : retry);
  const result = { pictures: files.length, added, missing };
  if (missing > 0) return { ...result, outputs: [], rows: 0, statuses: {} };
  // What counts is read as an export and the next start read it.
  const places = await now();
  const made = { prepared, root, settings: opened.settings, groups };
  return { ...result, ...(await writeOutputs(places, made)) };
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
  return new JobRun((job) => run(prepare(options), job));
}

/** Of the same run without its model. */
export type ExportOptions = Omit<AnnotateOptions, 'model' | 'faces'>;

const nobody = (): never => {
  throw new TypeError('an export asks nothing');
};

/**
 * Writes the outputs of a run from what it has so far, also while it goes on: pictures that are left have no rows. It asks nothing and
 * loads no model; questions, schema, calibration and limit are the run's.
 *
 * @throws as annotate; TrainingError FACELLM_RUN_INVALID where there is no such run
 */
export async function exportAnnotation(given: ExportOptions): Promise<AnnotationResult> {
  const model = { fingerprint: '', choose: nobody, ask: nobody, extract: nobody };
  const prepared = prepare({ ...given, model });
  const { options, fields, folder } = prepared;
  const groups = await groupingOf(options, fields);
  const { root } = await rootOf(options.input);
  const { files, added, settings } = await readWorkFolder(folder, prepared.settings);
  const places = await readPlaces(folder, files.length);
  const written = await writeOutputs(places, { prepared, root, settings, groups });
  return { pictures: files.length, added, missing: places.missing, ...written };
}
