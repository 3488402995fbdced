/** Benchmarks: asking, scoring, reporting. */
export type { BuiltInAttribute } from './attributes/index.js';
export { evaluate, type EvaluationRun } from './evaluate.js';
export type { AskingOptions, EvaluateOptions } from './evaluate-options.js';
export type { FaceXSetting } from './facexbench/index.js';
export {
  BENCHMARK_NAMES,
  type BenchmarkChoice,
  type BenchmarkDataOptions,
  type BenchmarkName,
  type ReadingChoice,
} from './open-benchmark.js';
export {
  type EvaluationEvent,
  EvaluationProgress,
  type EvaluationResult,
  type Rank,
} from './run/index.js';
export type { BenchmarkSummary } from './types.js';
