/** What `evaluate()` is given, checked all at once before a file is read. */
import { z } from 'zod';

import {
  type Calibrations,
  calibrationsShape,
  dtypeName,
  limitShape,
  type LoadOptions,
  type PromptOptions,
  promptShape,
  weightForms,
} from '../model/index.js';
import {
  abortSignal,
  checkArguments,
  deviceName,
  field,
  fields,
  flag,
  kindOf,
  list,
  name,
  type Shape,
  texts,
  unknownFields,
  whole,
  word,
} from '../options/index.js';
import {
  BENCHMARK_NAMES,
  type BenchmarkChoice,
  type BenchmarkDataOptions,
  type BenchmarkName,
} from './open-benchmark.js';
import type { Rank } from './run/ranks.js';

/** A benchmark with its own options, its data, and how models are asked. */
export type EvaluateOptions = BenchmarkChoice & BenchmarkDataOptions & AskingOptions;

/** Of `FaceLlm.load`'s options those that hold for each model. */
type Loading = Pick<
  LoadOptions,
  'device' | 'dtype' | 'weights' | 'threads' | 'mmap' | 'kvMemory' | 'maxContext' | 'maxRows'
>;

export interface AskingOptions extends Loading {
  /** Checkpoint folder, or a hub id in the local cache. */
  readonly model: string;
  /** PEFT folders: the model with them is scored beside the model alone, as `tuned`. */
  readonly adapter?: string | readonly string[] | undefined;
  /** Instead of adapters: a second checkpoint, scored beside the first as `tuned`. */
  readonly tuned?: string | undefined;
  /**
   * Of `loadCalibration`, of `attributes`: the report tells calibrated probabilities and their ECE beside the model's own. Each file
   * must have been fitted on a model of the run, asked in its form, and know all of its questions. @default none
   */
  readonly calibration?: Calibrations | undefined;
  /** Folder of the run; made if absent. A run that lies there goes on. */
  readonly output: string;
  /** A question that cannot be asked (broken picture, no memory) is recorded, or ends the run. @default 'record' */
  readonly onFailure?: 'record' | 'stop' | undefined;
  /** Plots in the report, which need the packages vega and vega-lite. @default true */
  readonly charts?: boolean | undefined;
  /** Wrong answers of each model on the page report/gallery.html, surest first; 0: no such page. @default 50 */
  readonly gallery?: number | undefined;
  /** Puts the pictures into that page. @default false */
  readonly galleryPictures?: boolean | undefined;
  /** Longest reply. @default 2048 for `facexbench`, 64 for `attributes`, 16 for `pairs` */
  readonly maxNewTokens?: number | undefined;
  /** Questions under way at a time. @default 8 */
  readonly batchSize?: number | undefined;
  /**
   * Template, system turn, tiles; all models of a run are asked alike. @default as the models were trained where that is
   * recorded beside one of them (where two records differ, the run is refused until the options say which); else the
   * checkpoint's own template and no system turn
   */
  readonly prompt?: Omit<PromptOptions, 'signal'> | undefined;
  /** As `FaceLlm.load`'s. @default true where it is not refused: not on a GPU, nor on a processor on which it does not hold */
  readonly deterministic?: boolean | undefined;
  /** Folder inside the checkpoint. */
  readonly subfolder?: string | undefined;
  /** Share of this process. @default by RANK and WORLD_SIZE, or SLURM_PROCID and SLURM_NTASKS */
  readonly rank?: Rank | undefined;
  /** Rejects the run at once with its reason; everything answered so far stays, as with `stop()`. */
  readonly signal?: AbortSignal | undefined;
}

/** Some 30 kB each with a picture. */
const MOST_GALLERY = 2000;
const path = name('a path');
const place = name('a folder, or a hub id in the local cache');
const places = list(place, 'a list of folders');
const promptFields: Shape<Omit<PromptOptions, 'signal'>> = {
  applyExif: promptShape.applyExif,
  maxPixels: promptShape.maxPixels,
  template: promptShape.template,
  system: promptShape.system,
  tiling: promptShape.tiling,
  limitsImageArea: promptShape.limitsImageArea,
  faces: promptShape.faces,
};

const askingShape: Shape<AskingOptions> = {
  model: place,
  adapter: kindOf<string | readonly string[]>((value) =>
    Array.isArray(value) ? places : place,
  ).optional(),
  tuned: place.optional(),
  ...calibrationsShape,
  output: path,
  onFailure: word('record', 'stop').optional(),
  charts: flag.optional(),
  gallery: whole(0, MOST_GALLERY).optional(),
  galleryPictures: flag.optional(),
  maxNewTokens: whole(1).optional(),
  batchSize: whole(1).optional(),
  prompt: fields<Omit<PromptOptions, 'signal'>>(promptFields).optional(),
  device: deviceName.optional(),
  dtype: dtypeName.optional(),
  weights: weightForms.optional(),
  threads: whole(1, 4096).optional(),
  mmap: flag.optional(),
  ...limitShape,
  deterministic: flag.optional(),
  subfolder: name('a folder inside the checkpoint').optional(),
  rank: fields<Rank>({ rank: whole(0), worldSize: whole(1) }).optional(),
  signal: abortSignal.optional(),
};
const dataShape: Shape<BenchmarkDataOptions> = {
  data: path,
  reading: word('text', 'probability', 'both').optional(),
  limit: whole(1).optional(),
  onInvalid: word('error', 'skip').optional(),
  seed: whole(0).optional(),
};

type Choice<Name extends BenchmarkName> = Extract<BenchmarkChoice, { benchmark: Name }>;
type Options<Name extends BenchmarkName> = Choice<Name> & BenchmarkDataOptions & AskingOptions;
type Where = NonNullable<Choice<'pairs'>['where']>;
type Attributes = NonNullable<Choice<'attributes'>['attributes']>;

const isText = (value: unknown): boolean => typeof value === 'string' && value.trim() !== '';
const rowShape = {
  labels: path.optional(),
  columns: texts.optional(),
  split: name('the name of a split').optional(),
  where: field<Where>(
    'columns with the values that are wanted',
    (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  ).optional(),
  groups: list(name('the name of a group'), 'a list of names').optional(),
  smallGroup: whole(1).optional(),
};

export const attributesShape: Shape<Options<'attributes'>> = {
  ...askingShape,
  ...dataShape,
  ...rowShape,
  benchmark: word('attributes'),
  // Names and definitions are the benchmark's to check.
  attributes: field<Attributes>('a list of attributes', Array.isArray).optional(),
};

const BENCHMARKS: { readonly [Name in BenchmarkName]: z.ZodType<EvaluateOptions> } = {
  facexbench: fields<Options<'facexbench'>>({
    ...askingShape,
    ...dataShape,
    benchmark: word('facexbench'),
    setting: word('zero-shot', 'in-context').optional(),
  }),
  attributes: fields<Options<'attributes'>>(attributesShape),
  pairs: fields<Options<'pairs'>>({
    ...askingShape,
    ...dataShape,
    ...rowShape,
    benchmark: word('pairs'),
    pairs: path.optional(),
    genuine: whole(1).optional(),
    impostor: whole(1).optional(),
    impostors: word('any', 'same-groups').optional(),
    // Scores are probabilities.
    reading: word('probability', 'both').optional(),
    question: field<string>('a text', isText).optional(),
    answers: field<readonly [same: string, different: string]>(
      'two different texts',
      (value) =>
        Array.isArray(value) && value.length === 2 && value.every(isText) && value[0] !== value[1],
    ).optional(),
  }),
};

const anyShape = { ...askingShape, ...dataShape, benchmark: word(...BENCHMARK_NAMES) };
/** Of a benchmark that there is not: which other fields it might have, nobody knows. */
const ANY = z.looseObject(anyShape, { error: unknownFields(anyShape) });

const ofWholePictures = field<'off'>(
  'off: its questions are about whole pictures (crowds, poses, spoofs), which chips would falsify',
  (value) => value === undefined || value === 'off',
);
const besideAdapter = field<undefined>(
  'nothing beside adapter, since the model with adapters is the tuned one',
  (value) => value === undefined,
);
const ofAttributes = field<undefined>(
  'nothing but of attributes, whose questions are all that `facellm calibrate` fits',
  (value) => value === undefined,
);
const besideText = field<undefined>(
  'nothing where answers are read as text alone, which has no probabilities',
  (value) => value === undefined,
);

/** @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT listing everything that can be told without reading a file */
export function checkEvaluateOptions(options: EvaluateOptions): void {
  const schema = kindOf<EvaluateOptions>((value) => {
    const benchmark = (value as { readonly benchmark?: unknown } | null | undefined)?.benchmark;
    const known = BENCHMARK_NAMES.find((one) => one === benchmark);
    return known === undefined ? ANY : BENCHMARKS[known];
  });
  const { adapter, tuned, benchmark, prompt, reading, calibration }: Partial<EvaluateOptions> =
    options ?? {};
  const isOfAttributes = benchmark === 'attributes';
  const hasAdapters = [adapter ?? []].flat().length > 0;
  checkArguments(
    'the evaluation options are wrong',
    [schema, options],
    [ofWholePictures, benchmark === 'facexbench' ? prompt?.faces : undefined, 'prompt.faces'],
    [besideAdapter, hasAdapters ? tuned : undefined, 'tuned'],
    [ofAttributes, isOfAttributes ? undefined : calibration, 'calibration'],
    [besideText, isOfAttributes && reading === 'text' ? calibration : undefined, 'calibration'],
  );
}
