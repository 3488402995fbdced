/**
 * A folder of pictures to one table: faces found, each asked, a row for every face and for every picture without.
 * Pictures go into the model's loop many at a time, so that their questions share steps and prefixes.
 */
import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { join } from 'node:path';

import { rankFromEnvironment } from '../evaluation/index.js';
import { JobRun, prefetch } from '../jobs/index.js';
import { annotatePicture, type AnnotationRow, type RowStatus } from './annotate-picture.js';
import { compose, openTable, type RowSink } from './compose.js';
import { type AnnotateOptions, prepare } from './options.js';
import { GroupReport } from './group-report.js';
import { loadGroups } from './groups.js';
import { listPictures } from './pictures.js';
import { type AnnotationField, isClosed } from './columns.js';
import { Sheet } from './sheet.js';
import { openRankJournal, openWorkFolder, readPlaces, type Settings } from './work-folder.js';

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

export type AnnotationRun = JobRun<AnnotationEvent, AnnotationResult>;

/** Neighbours of the list stay together; processes take such units in turn. */
const UNIT = 256;
const DURABLE_EVERY = 32;
const FAILED: readonly RowStatus[] = ['unreadable', 'too-large', 'model-error'];

/** Whether asking again may help. */
export const hasFailed = (rows: readonly AnnotationRow[]): boolean =>
  rows.some(({ status }) => FAILED.includes(status));

/** What is made of the rows once all are there. */
function sinksOf(
  { sheet, sheetRows: most = 100, calibration, csvRaw: isRaw = false }: AnnotateOptions,
  outputs: readonly string[],
  root: string,
  fields: readonly AnnotationField[],
  settings: Settings,
): (() => Promise<RowSink> | RowSink)[] {
  const table = { fields, isCalibrated: calibration !== undefined, isRaw, settings };
  return [
    ...outputs.map((path) => () => openTable(path, table)),
    ...(sheet === undefined ? [] : [() => new Sheet({ path: sheet, most, root, fields })]),
  ];
}

async function run(
  { options, outputs, fields, faces, settings, folder, ahead }: ReturnType<typeof prepare>,
  job: AnnotationRun,
): Promise<AnnotationResult> {
  const { model, schema, calibration, limit, retryFailed = false } = options;
  const { rank, worldSize } = rankFromEnvironment(options.environment);
  const signal = AbortSignal.any([job.stopSignal, ...(options.signal ? [options.signal] : [])]);
  setMaxListeners(0, signal); // a listener for each face under way
  // Before anything is asked: a group that is not there is no reason to lose a night.
  const closed = fields.filter(isClosed);
  const groupsOf =
    options.groups === undefined ? undefined : await loadGroups(options.groups, closed);
  const { root, files: listed } = await listPictures(options.input);
  const files = await openWorkFolder(folder, settings, listed.slice(0, limit ?? listed.length));
  const retryId = !retryFailed
    ? undefined
    : (options.retryId ?? (worldSize === 1 ? randomUUID() : undefined));
  const isOld = (id: string | undefined): boolean => retryFailed && (!retryId || id !== retryId);
  const known = await readPlaces(folder, files.length, hasFailed, isOld);
  const own: number[] = [];
  for (let place = 0; place < files.length; place++) {
    if (Math.floor(place / UNIT) % worldSize === rank && !known.has(place)) own.push(place);
  }
  const { journal, close } = await openRankJournal(folder, rank);
  try {
    const work = { model, fields, schema, calibration, faces, signal };
    let done = 0;
    const annotated = prefetch(own, ahead, async (place) => {
      signal.throwIfAborted();
      const file = files[place] ?? '';
      return { place, rows: await annotatePicture(work, file, join(root, file)), retryId };
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
  const isLeft = retryId === undefined ? undefined : isOld;
  const places = await readPlaces(folder, files.length, hasFailed, isLeft);
  const { missing } = places;
  const result = { pictures: files.length, missing };
  if (missing > 0) return { ...result, outputs: [], rows: 0, statuses: {} };
  const sinks = sinksOf(options, outputs, root, fields, settings);
  const report = `${outputs[0]}.groups`;
  if (groupsOf !== undefined) sinks.push(() => new GroupReport(report, closed, groupsOf));
  const made = [
    ...[...outputs, ...(options.sheet === undefined ? [] : [options.sheet])],
    ...(groupsOf === undefined ? [] : [report]),
  ];
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
  return new JobRun((job) => run(prepare(options), job));
}
