/** What a training run leaves in its folder, and shows on a terminal. */
export { syncFolder, writeFileAtomic } from '../../files/index.js';
export { type LossPlotFiles, type LossPlotOptions, writeLossPlot } from './loss-plot.js';
export { type LossPoint, smooth } from './loss-series.js';
export {
  formatProgress,
  type ProgressOptions,
  type ProgressSnapshot,
  TrainingProgress,
} from './progress.js';
export type { StepRecord } from './step-record.js';
export { scalarsOf, type TensorBoardOptions, TensorBoardWriter } from './tensorboard.js';
export {
  TRAINER_LOG_NAME,
  TrainerLog,
  type TrainerLogEntry,
  trainerLogEntry,
  type TrainerLogOptions,
} from './trainer-log.js';
