/** Benchmarks: asking, scoring, reporting. */
export {
  BENCHMARK_NAMES,
  type BenchmarkName,
  evaluate,
  type EvaluateOptions,
  type ReadingChoice,
} from './evaluate.js';
export type { FaceXSetting } from './facexbench/index.js';
export {
  type EvaluationEvent,
  EvaluationProgress,
  type EvaluationResult,
  type Rank,
} from './run/index.js';
export type { BenchmarkSummary } from './types.js';
