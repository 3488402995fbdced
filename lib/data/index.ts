/** Training datasets: reading, checking, and the report of what was left out. */
export { readDataset, type ReadDatasetOptions } from './read-dataset.js';
export { writeSkipped } from './skipped.js';
export type { Dataset, SkippedRecord, TrainingRecord, TrainingTurn } from './types.js';
