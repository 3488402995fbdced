/** A training run under way: await it for its result, iterate over it for its events. */
import { JobRun } from '../jobs/index.js';
import type { TrainingEvent, TrainingResult } from './events.js';

/** `stop()` ends the run after the update under way, with a checkpoint to resume from. */
export class TrainingRun extends JobRun<TrainingEvent, TrainingResult> {}
