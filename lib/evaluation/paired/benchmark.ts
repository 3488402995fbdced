/** A benchmark on labelled pictures, once its questions are made: what was used, and how its report is written. */
import { fingerprint, sourceOf } from '../labels/fingerprint.js';
import { SMALL_GROUP } from '../metrics/groups.js';
import { checkRuns } from '../outcomes.js';
import type { Benchmark, BenchmarkOptions, BenchmarkSummary, EvaluationSource } from '../types.js';
import type { GroupColumn } from './groups.js';
import type { PairedReportOptions } from './report.js';

/** Options that both benchmarks have. */
export interface PairedBenchmarkOptions extends BenchmarkOptions {
  /** Groups of fewer (of pairs: of either kind) are marked and decide no gap. @default 30 */
  readonly smallGroup?: number | undefined;
}

export interface PairedBenchmark extends Pick<
  Benchmark,
  'name' | 'items' | 'readings' | 'readText'
> {
  readonly options: PairedBenchmarkOptions;
  /** That the questions come from. */
  readonly file: EvaluationSource;
  /** Paths of the pictures, by the names under which they count. */
  readonly pictures: ReadonlyMap<string, string>;
  readonly groups: readonly GroupColumn[];
  /** How many there would be without the limit, and what they are: `pictures`. */
  readonly of: readonly [used: number, all: number, what: string];
  readonly isPartial: boolean;
  readonly notes: readonly string[];
  readonly report: (options: PairedReportOptions) => Promise<BenchmarkSummary>;
}

/** Reads every picture once, for the fingerprint. */
export async function pairedBenchmark(parts: PairedBenchmark): Promise<Benchmark> {
  const { name, items, readings, readText, options, file, pictures, groups, report } = parts;
  const [used, all, what] = parts.of;
  const isCut = used < all;
  const isPartial = parts.isPartial || isCut;
  const notes = [...parts.notes, ...(isCut ? [`only the first ${used} of ${all} ${what}`] : [])];
  const { sha256, sources } = await fingerprint(items, pictures);
  const { smallGroup = SMALL_GROUP, seed = 0 } = options;
  const settings = { smallGroup, seed };
  return {
    ...{ name, isPartial, notes, items, readings },
    ...(readText !== undefined && { readText }),
    fingerprint: sha256,
    sources: [sourceOf(options.data, file), ...sources],
    report: async (runs, output, how) => {
      checkRuns(items, runs);
      const what = { items, notes, isPartial, readings, groups };
      return report({ ...how, ...settings, ...what, runs, output });
    },
  };
}
