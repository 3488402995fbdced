/** A training run under way: await it for its result, iterate over it for its events. */
import type { JobRun } from '../jobs/index.js';
import type { TrainingEvent, TrainingResult } from './events.js';

/**
 * `stop()` ends the run with a checkpoint of every whole update to resume from: at once within an update, which is left
 * undone; in a job of several processes after the update under way.
 */
export type TrainingRun = JobRun<TrainingEvent, TrainingResult>;
