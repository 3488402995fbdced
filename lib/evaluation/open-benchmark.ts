/** The benchmarks by name, with the options that each has of its own. */
import { attributesBenchmark, type AttributesOptions } from './attributes/benchmark.js';
import { faceXBench, type FaceXBenchOptions } from './facexbench/benchmark.js';
import { pairsBenchmark, type PairsOptions } from './pairs/benchmark.js';
import type { Benchmark, BenchmarkOptions, DataOptions } from './types.js';

export type BenchmarkName = Benchmark['name'];
export const BENCHMARK_NAMES: readonly BenchmarkName[] = ['facexbench', 'attributes', 'pairs'];

/** Which way answers are read: as generated text, as probabilities of the options, or both. */
export type ReadingChoice = 'text' | 'probability' | 'both';

type Shared = keyof BenchmarkOptions;

/** What is scored. */
export type BenchmarkChoice =
  | ({ readonly benchmark: 'facexbench' } & Omit<FaceXBenchOptions, Shared>)
  | ({ readonly benchmark: 'attributes' } & Omit<AttributesOptions, Shared>)
  | ({ readonly benchmark: 'pairs' } & Omit<PairsOptions, Shared>);

export interface BenchmarkDataOptions extends DataOptions {
  /** @default 'both', of `pairs` 'probability' */
  readonly reading?: ReadingChoice | undefined;
}

/** Longest reply: the authors' wrapper allows FaceXBench 2,048 tokens; the others ask for a word or two. */
export const MAX_NEW_TOKENS: Readonly<Record<BenchmarkName, number>> = {
  facexbench: 2048,
  attributes: 64,
  pairs: 16,
};

/**
 * Reads and checks all data.
 *
 * @throws InvalidArgumentError; DataError FACELLM_DATA_NOT_FOUND, FACELLM_DATA_INVALID listing every fault
 */
export function openBenchmark(options: BenchmarkChoice & BenchmarkDataOptions): Promise<Benchmark> {
  const { reading } = options;
  const readings: Benchmark['readings'] | undefined =
    reading === 'both' ? ['text', 'probability'] : reading && [reading];
  switch (options.benchmark) {
    case 'facexbench':
      return faceXBench({ ...options, readings });
    case 'attributes':
      return attributesBenchmark({ ...options, readings });
    case 'pairs':
      return pairsBenchmark({ ...options, readings });
  }
}
