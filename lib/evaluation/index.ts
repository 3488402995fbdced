/** Benchmarks: asking, scoring, reporting. */
export type { FaceXSetting } from './facexbench/prompt.js';
export type { BuiltInAttribute } from './labels/built-in.js';
export type { EvaluationEvent } from './run/events.js';
export { EvaluationProgress } from './run/progress.js';
export type { EvaluationResult } from './run/run-benchmark.js';
export { calibrate, type CalibrationResult, type CalibrationRun } from './calibration/calibrate.js';
export type { CalibratedSchema, CalibrateOptions } from './calibration/options.js';
export { type ModelCardOptions, updateModelCard } from './card/update-model-card.js';
export type { ComparisonFigures } from './compare/analysis.js';
export { compare, type ComparisonResult, type ComparisonRun } from './compare/compare.js';
export type { CompareOptions } from './compare/options.js';
export { evaluate, type EvaluationRun } from './evaluate.js';
export type { EvaluateOptions } from './evaluate-options.js';
export { type BenchmarkChoice, type BenchmarkName, type ReadingChoice } from './open-benchmark.js';
export type { BenchmarkSummary } from './types.js';
export { findColumn, type LabelFile, missingColumn, readLabelFile } from './labels/label-file.js';
export {
  type Estimate,
  type Figures,
  FIGURE_NAMES,
  FIGURE_TITLES,
  figuresOfMatrix,
} from './attributes/figures.js';
export { builtInAttribute } from './labels/built-in.js';
export { CalibrationCount } from './metrics/calibration.js';
export { confusionMatrix, type ConfusionMatrix } from './metrics/classification.js';
export { compareNames, SMALL_GROUP } from './metrics/groups.js';
export { wilsonInterval } from './metrics/wilson.js';
export { type Block, numeric } from './report/document.js';
export { formatEstimate, formatShare, roundedJson } from './report/numbers.js';
export { writeReport } from './report/write.js';
export { type Rank, rankFromEnvironment } from './run/ranks.js';
