/** Training datasets: making them, reading and checking them, and the report of what was left out. */
export { datasetTexts } from './dataset-texts.js';
export { type ColumnOptions } from './labels/column-map.js';
export type { ReadLabelsOptions } from './labels/read-labels.js';
export {
  type Attribute,
  ATTRIBUTES,
  FAIRFACE_ATTRIBUTES,
  type FaceLabels,
  VOCABULARY,
} from './labels/vocabulary.js';
export * from './synthesis/index.js';
export {
  loadPromptSet,
  PROMPT_SETS,
  type PromptQuestion,
  type PromptSet,
  promptSetHash,
} from './prompts/index.js';
export { readDataset, type ReadDatasetOptions } from './read-dataset.js';
export { writeSkipped } from './skipped.js';
export * from './teachers/index.js';
export type { Dataset, SkippedRecord, TrainingRecord, TrainingTurn } from './types.js';
