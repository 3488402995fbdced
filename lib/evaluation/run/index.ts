/** The runner: asks, keeps a journal, knows nothing of any one benchmark. */
export type { EvaluationEvent } from './events.js';
export { EvaluationProgress } from './progress.js';
export { type Rank, rankFromEnvironment } from './ranks.js';
export { type BenchmarkRunOptions, type EvaluationResult, runBenchmark } from './run-benchmark.js';
export type { RunSettings, SettingValue } from './settings.js';
