/** What `train()` is given. */
import type { z } from 'zod';

import type { JobEnvironment } from '../distributed/index.js';
import {
  abortSignal,
  deviceName,
  field,
  fields,
  flag,
  name,
  text,
  whole,
  word,
} from '../options/index.js';
import type { TrainingRecipe } from './recipe.js';
import type { OwnValidation } from './validation/validation.js';

export interface TrainOptions {
  /** Complete settings: `facellm1b()`, `nano()`, or one of them spread and changed. */
  readonly recipe: TrainingRecipe;
  /** Checkpoint folder of the base model, or a hub id in the local cache. */
  readonly model: string;
  /** ShareGPT JSON or JSONL, or a dataset_info.json. */
  readonly data: string;
  /** Folder of the run; made if absent. A run that lies there is resumed. */
  readonly output: string;
  /** Entry of a dataset_info.json. */
  readonly dataset?: string | undefined;
  /** Where relative picture paths start. @default the data file's folder */
  readonly imageRoot?: string | undefined;
  /** PEFT adapter to start from: a folder, or a hub id in the local cache. */
  readonly adapter?: string | undefined;
  /** @default a usable GPU, else the CPU */
  readonly device?: string | undefined;
  readonly threads?: number | undefined;
  /** `skip` writes bad records to skipped_records.jsonl instead of failing. @default 'error' */
  readonly onInvalid?: 'error' | 'skip' | undefined;
  /**
   * Figures of one's own at every validation (a benchmark by `evaluate()`, say), under names that go to the log and that
   * the recipe's `bestMetric` can name. Of a job's ranks the first calls it.
   */
  readonly validate?: OwnValidation | undefined;
  /** This process's place in a job of several. @default what torchrun or Slurm have set, if anything */
  readonly job?: JobEnvironment | undefined;
  /** Ends the run at once, without saving; `run.stop()` saves every whole update first. */
  readonly signal?: AbortSignal | undefined;
}

const path = name('a path');
const place = name('a folder, or a hub id in the local cache');

export const trainOptions: z.ZodType<TrainOptions> = fields<TrainOptions>({
  // Its own fields are checkRecipe's to check.
  recipe: field(
    'a recipe, such as facellm1b()',
    (value) => typeof value === 'object' && value !== null,
  ),
  model: place,
  data: path,
  output: path,
  dataset: name('the name of a dataset').optional(),
  imageRoot: path.optional(),
  adapter: place.optional(),
  device: deviceName.optional(),
  threads: whole(1, 4096).optional(),
  onInvalid: word('error', 'skip').optional(),
  validate: field<OwnValidation>('a function', (value) => typeof value === 'function').optional(),
  job: fields<JobEnvironment>({
    rank: whole(0),
    size: whole(1),
    localRank: whole(0),
    localSize: whole(1),
    address: name('a host name or address'),
    port: whole(0, 65_535),
    hostsStore: flag,
    prefix: text('a text'),
  }).optional(),
  signal: abortSignal.optional(),
});
