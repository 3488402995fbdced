/** What `annotate()` is given, checked at once, and what a run's answers follow from. */
import { Calibration } from '../calibration/index.js';
import { createError } from '../errors.js';
import {
  type FaceOptions,
  faceOptions,
  faceSettings,
  resolveAskedFaces,
  type ResolvedFaceOptions,
} from '../faces/index.js';
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
import { askedSchema, FaceLlm } from '../model/index.js';
import {
  type AnnotationRow,
  FAILED,
  type MissedStatus,
  type RowStatus,
} from './annotate-picture.js';
import type { AnnotatingModel } from './answers.js';
import type { OnChanged } from './changed.js';
import type { AnnotationField } from './columns.js';
import type { GroupsOption } from './groups.js';
import { type AnnotationQuestion, checkQuestions, collisions, isText } from './questions.js';
import { type AnnotationSchema, schemaFields, schemaSettings } from './schema-fields.js';
import type { Settings } from './work-folder.js';

export interface AnnotateOptions {
  /** A folder, looked through to its depths, or a text file with a path a line, relative to it. */
  readonly input: string;
  /** One file or several, .jsonl, .csv or .parquet; the first names the work folder, OUTPUT.work. */
  readonly output: string | readonly string[];
  readonly model: AnnotatingModel;
  /** @default none, where there is a schema */
  readonly questions?: readonly AnnotationQuestion[] | undefined;
  /** An object about each face, its properties as columns. @default none */
  readonly schema?: AnnotationSchema | undefined;
  /** `off`: whole pictures. @default each face on its own */
  readonly faces?: FaceOptions | 'off' | undefined;
  /** A contact sheet of the least sure rows: one HTML file with their pictures in it. @default none */
  readonly sheet?: string | undefined;
  /** Of the sheet, at most. @default 100 */
  readonly sheetRows?: number | undefined;
  /** Reports answers by group, into the folder OUTPUT.groups. @default none */
  readonly groups?: GroupsOption | undefined;
  /** Of `loadCalibration`, for this model and all of these closed questions, or for the schema: adds calibrated probabilities. @default none */
  readonly calibration?: Calibration | undefined;
  /** CSV outputs for programs: texts that begin as a formula get no apostrophe. @default false */
  readonly csvRaw?: boolean | undefined;
  /** Only the first so many pictures of the list. */
  readonly limit?: number | undefined;
  /**
   * Asks pictures again that could not be read or answered (`unreadable`, `too-large`, `model-error`), or those that have a row of one of
   * these statuses. @default false
   */
  readonly retryFailed?: boolean | readonly MissedStatus[] | undefined;
  /** Of answered pictures whose bytes are others now, or which are gone: asks them again, or keeps their rows. @default they are an error */
  readonly changed?: OnChanged | undefined;
  /**
   * Of `retryFailed` in several processes: a text that all share and no other run has, by which each knows what the others have asked
   * again. @default of one process its own; of several none: whoever ends takes what the others have not asked again as failed
   */
  readonly retryId?: string | undefined;
  /** Pictures under way at a time. @default 16 */
  readonly ahead?: number | undefined;
  /** Of RANK and WORLD_SIZE, or SLURM_PROCID and SLURM_NTASKS. @default process.env */
  readonly environment?: NodeJS.ProcessEnv | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Whether a picture with these rows is to be asked again. */
export function isRetried(
  rows: readonly AnnotationRow[],
  retryFailed: boolean | readonly RowStatus[],
): boolean {
  if (retryFailed === false) return false;
  const named = retryFailed === true ? FAILED : retryFailed;
  return rows.some(({ status }) => named.includes(status));
}

/** Some 30 kB each. */
const MOST_SHEET_ROWS = 2000;
const outputName = name('a name that ends in .jsonl, .csv or .parquet');
const csvGroups = fields<Exclude<GroupsOption, 'folder'>>({
  file: name('a CSV file with a column named file'),
  columns: list(name('the name of a column'), 'a list of at least one column', 1),
});
const missedStatus = word('unreadable', 'too-large', 'model-error', 'no-face', 'too-small');
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
  questions: field<readonly AnnotationQuestion[]>('a list of questions', Array.isArray).optional(),
  schema: askedSchema.optional(),
  faces: kindOf<FaceOptions | 'off'>((value) =>
    typeof value === 'string' ? word('off') : faceOptions,
  ).optional(),
  sheet: name('a name that ends in .html').optional(),
  sheetRows: whole(1, MOST_SHEET_ROWS).optional(),
  groups: kindOf<GroupsOption>((value) =>
    typeof value === 'string' ? word('folder') : csvGroups,
  ).optional(),
  calibration: field<Calibration>(
    'what loadCalibration() gives',
    (value) => value instanceof Calibration,
  ).optional(),
  csvRaw: flag.optional(),
  limit: whole(1).optional(),
  retryFailed: kindOf<boolean | readonly MissedStatus[]>((value) =>
    Array.isArray(value) ? list(missedStatus, 'a list of statuses', 1) : flag,
  ).optional(),
  changed: word('redo', 'keep').optional(),
  retryId: name('a text of at least one character').optional(),
  ahead: whole(1, 4096).optional(),
  environment: field<NodeJS.ProcessEnv>(
    'names with a text each',
    (value) => typeof value === 'object' && value !== null,
  ).optional(),
  signal: abortSignal.optional(),
});

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

/** Options in the form that the run needs. */
export interface Prepared {
  readonly outputs: readonly [string, ...string[]];
  /** Of all questions and the schema, in the order of their columns. */
  readonly fields: readonly AnnotationField[];
  /** Undefined: whole pictures. */
  readonly faces: ResolvedFaceOptions | undefined;
  readonly settings: Settings;
  /** Of the run. */
  readonly folder: string;
  /** Pictures under way at a time. */
  readonly ahead: number;
  /** The model is ours, not a user's that is like it. */
  readonly isFaceLlm: boolean;
}

export type PreparedRun = Prepared & { readonly options: AnnotateOptions };

const AHEAD = 16;

/** @throws DataError FACELLM_QUESTIONS_INVALID listing what does not go together; InvalidArgumentError for a schema that cannot be held to */
function fieldsOf(
  { schema, calibration, model }: AnnotateOptions,
  questions: readonly AnnotationQuestion[],
): readonly AnnotationField[] {
  const own = questions.map((one) =>
    isText(one) ? ({ kind: 'text', ...one } as const) : ({ kind: 'closed', ...one } as const),
  );
  const all = [...own, ...(schema === undefined ? [] : schemaFields(schema))];
  const hasClosed = own.some(({ kind }) => kind === 'closed');
  const details = [
    ...(all.length === 0 ? ['expected questions, a schema or both'] : []),
    ...collisions(all, 'schema'),
    ...(schema !== undefined && hasClosed && calibration !== undefined
      ? ['calibration: expected closed questions or a schema beside it, not both; ask in two runs']
      : []),
    ...(own.some(({ kind }) => kind === 'text') && model.ask === undefined
      ? ['model: has no ask(), which questions of type text need']
      : []),
    ...(schema !== undefined && model.extract === undefined
      ? ['model: has no extract(), which a schema needs']
      : []),
  ];
  if (details.length === 0) return all;
  throw createError('FACELLM_QUESTIONS_INVALID', 'the questions cannot be asked', { details });
}

/** @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT, DataError FACELLM_QUESTIONS_INVALID, each listing all that is wrong */
export function prepare(given: AnnotateOptions): PreparedRun {
  const options = checkFields(annotateOptions, given, 'the options of annotate are wrong');
  const outputs = outputsOf(options);
  const questions = checkQuestions(options.questions ?? []);
  const asked = fieldsOf(options, questions);
  const { model, faces = {}, calibration, limit = null, ahead = AHEAD } = options;
  // What is left open is as the model was trained, where that was on chips.
  const resolved =
    faces === 'off' ? undefined : resolveAskedFaces({ which: 'each', ...faces }, model.faces);
  const settings = {
    ...{ model: model.contentHash ?? model.fingerprint, questions, limit },
    faces: resolved === undefined ? 'off' : faceSettings(resolved),
    ...(options.schema !== undefined && { schema: schemaSettings(options.schema) }),
    ...(calibration !== undefined && { calibration: calibration.file }),
  };
  const folder = `${outputs[0]}.work`;
  const isFaceLlm = model instanceof FaceLlm;
  return { options, outputs, fields: asked, faces: resolved, settings, folder, ahead, isFaceLlm };
}
