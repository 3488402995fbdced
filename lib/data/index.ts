/** Training datasets: making them, reading and checking them, and the report of what was left out. */
export { datasetTexts } from './dataset-texts.js';
export { CLOSED_QUESTIONS, type ClosedQuestionName } from './prompts/closed-questions.js';
export { type ParquetColumn, ParquetFile, type ParquetRow } from './synthesis/parquet-file.js';
export { type FaceLabels } from './labels/vocabulary.js';
export type {
  GenerationEvent,
  GenerationProgress,
  GenerationResult,
  GenerationRun,
} from './synthesis/events.js';
export { generateDataset } from './synthesis/generate-dataset.js';
export { type GenerationPlan, planDataset } from './synthesis/plan-dataset.js';
export type { BatchOptions, GenerateOptions } from './synthesis/options.js';
export type { JudgeOptions } from './judging/judge.js';
export type { JudgedCounts, JudgedGroup, JudgementSummary } from './judging/tally.js';
export { loadPromptSet, PROMPT_SETS, promptSetHash } from './prompts/load-prompt-set.js';
export type { PromptQuestion, PromptSet } from './prompts/prompt-set.js';
export { readDataset, type ReadDatasetOptions } from './read-dataset.js';
export { writeSkipped } from './skipped.js';
export {
  type TeacherAnswer,
  TeacherFailure,
  type TeacherRequest,
  type TokenUsage,
} from './teachers/exchange.js';
export type { LabelsTeacherOptions } from './teachers/labels-teacher.js';
export { labelsTeacher, modelTeacher, openAiTeacher } from './teachers/make-teacher.js';
export type { ModelTeacherOptions } from './teachers/model-teacher.js';
export type { OpenAiTeacherOptions } from './teachers/openai-options.js';
export type { Teacher, TokenPrices } from './teachers/teacher.js';
export type { Dataset, RecordFact, SkippedRecord, TrainingRecord } from './types.js';
