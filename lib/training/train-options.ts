/** What `train()` is given. */
import type { JobEnvironment } from '../distributed/index.js';
import type { TrainingRecipe } from './recipe.js';

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
  /** This process's place in a job of several. @default what torchrun or Slurm have set, if anything */
  readonly job?: JobEnvironment | undefined;
  /** Ends the run at once, without saving; `run.stop()` ends it after the update under way. */
  readonly signal?: AbortSignal | undefined;
}
