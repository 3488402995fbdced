/** Benchmarks: asking, scoring, reporting. */
export type { FaceXSetting } from './facexbench/prompt.js';
export type { BuiltInAttribute } from './labels/built-in.js';
export type { EvaluationEvent } from './run/events.js';
export { EvaluationProgress } from './run/progress.js';
export type { EvaluationResult } from './run/run-benchmark.js';
export { calibrate, type CalibrationResult, type CalibrationRun } from './calibration/calibrate.js';
export type { CalibratedSchema, CalibrateOptions } from './calibration/options.js';
export { evaluate, type EvaluationRun } from './evaluate.js';
export type { EvaluateOptions } from './evaluate-options.js';
export { type BenchmarkChoice, type BenchmarkName, type ReadingChoice } from './open-benchmark.js';
export type { BenchmarkSummary } from './types.js';
export { escapeHtml } from './report/html.js';
export { type Rank, rankFromEnvironment } from './run/ranks.js';
