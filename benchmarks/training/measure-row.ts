/**
 * One row, in a process of its own so that its peak of memory is its own: arguments as JSON, result as JSON on
 * stdout. Started by main.ts.
 */
import { loadAddon } from '../../lib/binding/load.js';
import { BaselineProcess } from '../baselines/baseline-process.js';
import { readLoad } from '../harness/environment.js';
import { bootstrap, median } from '../harness/statistics.js';
import { OwnTrainer, type StepRequest, type StepResult, type TrainingRow } from './rows.js';

export interface RowJob {
  readonly row: TrainingRow;
  readonly model: string;
  readonly device: string;
  readonly threads: number;
  readonly pairs: number;
  /** Python with transformers and PEFT; '': none. */
  readonly baseline: string;
  /** @default device */
  readonly baselineDevice?: string;
}

export interface RowResult {
  readonly name: string;
  readonly pairs: number;
  readonly ms: number;
  readonly peakBytes: number;
  readonly samplesPerSecond: number;
  /** Tokens computed for each of the samples' own. */
  readonly computedShare: number;
  readonly stolenShare: number;
  readonly beside?: {
    readonly ms: number;
    readonly peakBytes: number;
    /** Their time over ours. */
    readonly ratio: { readonly median: number; readonly low: number; readonly high: number };
  };
}

async function measure({
  row,
  model,
  device,
  threads,
  pairs,
  baseline,
  baselineDevice = device,
}: RowJob): Promise<RowResult> {
  await loadAddon().setThreads(threads).promise;
  const own = await OwnTrainer.create(model, row, device);
  const other =
    baseline === ''
      ? undefined
      : await BaselineProcess.start<StepRequest, StepResult>(baseline, 'hf_train.py', [
          model,
          String(threads),
          baselineDevice,
        ]);
  const ours: StepResult[] = [];
  const theirs: StepResult[] = [];
  const theirRequest = row.baselineRequest ?? row.request;
  await own.step(row.request);
  await other?.run(theirRequest);
  const before = readLoad();
  for (let pair = 0; pair < pairs; pair++) {
    if (pair % 2 === 1 && other !== undefined) theirs.push(await other.run(theirRequest));
    ours.push(await own.step(row.request));
    if (pair % 2 === 0 && other !== undefined) theirs.push(await other.run(theirRequest));
  }
  const after = readLoad();
  other?.stop();
  await own.dispose();
  const ms = median(ours.map((one) => one.ms));
  return {
    name: row.name,
    pairs,
    ms,
    peakBytes: Math.max(...ours.map((one) => one.peakBytes)),
    samplesPerSecond: (1000 * row.request.batch * row.request.microBatches) / ms,
    computedShare: (ours[0]?.computedTokens ?? 1) / (ours[0]?.tokens ?? 1),
    stolenShare: (after.stolen - before.stolen) / Math.max(1, after.total - before.total),
    ...(theirs.length === 0
      ? {}
      : {
          beside: {
            ms: median(theirs.map((one) => one.ms)),
            peakBytes: Math.max(...theirs.map((one) => one.peakBytes)),
            ratio: bootstrap(ours.map((one, i) => (theirs[i]?.ms ?? NaN) / one.ms)),
          },
        }),
  };
}

console.log(JSON.stringify(await measure(JSON.parse(process.argv[2] ?? '{}') as RowJob)));
