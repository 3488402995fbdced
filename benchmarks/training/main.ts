/**
 * `npm run bench:train -- --model DIR [--batch 1] [--pairs 5] [--baseline PYTHON] [--out FILE]`: LoRA steps
 * beside transformers + PEFT on the same checkpoint, steps alternating A B B A. The baseline keeps its picture
 * encoder in every step, as it does in a real run; rows with cached pictures say so in their names.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { loadAddon } from '../../lib/binding/load.js';
import { PythonProcess } from '../baselines/python-process.js';
import { describeEnvironment, readLoad } from '../harness/environment.js';
import { bootstrap, median } from '../harness/statistics.js';
import { OwnTrainer, type StepRequest, type StepResult, trainingRows } from './rows.js';

const TINY = join(import.meta.dirname, '..', '..', 'golden', 'ckpt-300m');

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: TINY },
    device: { type: 'string', default: 'cpu' },
    batch: { type: 'string', default: '1' },
    pairs: { type: 'string', default: '5' },
    threads: { type: 'string', default: '2' },
    baseline: { type: 'string' },
    out: { type: 'string' },
  },
});
const isSmoke = values.model === TINY;
if (isSmoke)
  console.log('No --model: the tiny checkpoint, a smoke run whose figures mean nothing.');
await loadAddon().setThreads(Number(values.threads)).promise;
const pairs = Number(values.pairs);
const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(2);
const results: object[] = [];

for (const row of trainingRows(Number(values.batch))) {
  const request = isSmoke ? { ...row.request, imageTokens: 4 } : row.request;
  const own = await OwnTrainer.create(values.model, row, values.device);
  // A process a row: its peak is its own.
  const baseline =
    values.baseline === undefined
      ? undefined
      : await PythonProcess.start<StepRequest, StepResult>(values.baseline, 'hf_train.py', [
          values.model,
          values.threads,
        ]);
  const ours: StepResult[] = [];
  const theirs: StepResult[] = [];
  await own.step(request);
  await baseline?.run(request);
  const before = readLoad();
  for (let pair = 0; pair < pairs; pair++) {
    if (pair % 2 === 1 && baseline !== undefined) theirs.push(await baseline.run(request));
    ours.push(await own.step(request));
    if (pair % 2 === 0 && baseline !== undefined) theirs.push(await baseline.run(request));
  }
  const after = readLoad();
  baseline?.stop();
  await own.dispose();
  const ms = median(ours.map((one) => one.ms));
  const peakBytes = Math.max(...ours.map((one) => one.peakBytes));
  const beside =
    theirs.length === 0
      ? undefined
      : {
          baselineMs: median(theirs.map((one) => one.ms)),
          baselinePeakBytes: Math.max(...theirs.map((one) => one.peakBytes)),
          ratio: bootstrap(ours.map((one, i) => (theirs[i]?.ms ?? NaN) / one.ms)),
        };
  const stolenShare = (after.stolen - before.stolen) / Math.max(1, after.total - before.total);
  const samplesPerSecond = (1000 * request.batch) / ms;
  results.push({ name: row.name, pairs, ms, peakBytes, samplesPerSecond, stolenShare, ...beside });
  const theirFigures =
    beside === undefined
      ? ''
      : `  transformers + PEFT ${beside.baselineMs.toFixed(0)} ms, ${gigabytes(beside.baselinePeakBytes)} GB  ratio ` +
        `${beside.ratio.median.toFixed(2)} [${beside.ratio.low.toFixed(2)}, ${beside.ratio.high.toFixed(2)}]`;
  console.log(
    `${row.name}: ${ms.toFixed(0)} ms, ${gigabytes(peakBytes)} GB${theirFigures}  (${pairs} steps)`,
  );
}
const report = { environment: await describeEnvironment(), arguments: values, results };
if (values.out !== undefined) writeFileSync(values.out, `${JSON.stringify(report, null, 2)}\n`);
