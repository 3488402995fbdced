/** A training run under way: await it for its result, iterate over it for its events. */
import type { JobRun } from '../jobs/index.js';
import type { TrainingEvent, TrainingResult } from './events.js';

/** `stop()` ends the run after the update under way, with a checkpoint to resume from. */
export type TrainingRun = JobRun<TrainingEvent, TrainingResult>;
