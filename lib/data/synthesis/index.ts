/** Making datasets. */
export type {
  GenerationEnd,
  GenerationEvent,
  GenerationProgress,
  GenerationResult,
} from './events.js';
export {
  generateDataset,
  type GenerationPlan,
  type GenerationRun,
  planDataset,
} from './generate-dataset.js';
export type { BatchOptions, GenerateOptions } from './options.js';
