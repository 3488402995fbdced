/**
 * `npm run bench -- [--model DIR] [--dtype bf16] [--weights stored] [--pairs 15] [--baseline PYTHON | --against ADDON] [--rows TEXT]
 * [--out FILE]`: each row beside transformers, or beside another build of this addon (a facellm.node of another
 * commit), on the same checkpoint, runs alternating A B B A after a warm-up; medians, and the median of the pairs'
 * ratios with a 95 % interval. Without either the rows run alone and say so; --rows leaves out those whose name does
 * not contain TEXT.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import type { WeightForm } from '../lib/model/index.js';
import { HfBaseline } from './baselines/hf.js';
import { OtherBuild } from './baselines/other-build.js';
import { readLoad, writeReport } from './harness/environment.js';
import { bootstrap, type Interval, median } from './harness/statistics.js';
import { byTurns } from './harness/turns.js';
import { createPreprocessRow } from './inference/preprocess.js';
import { openRows } from './inference/open-rows.js';
import type { Row } from './inference/rows.js';

const ROOT = join(import.meta.dirname, '..');
const TINY = join(ROOT, 'golden', 'ckpt-300m');

interface Measured {
  readonly name: string;
  readonly pairs: number;
  readonly ms: number;
  readonly baselineMs?: number;
  /** Baseline's time over ours: above 1, ours is faster. */
  readonly ratio?: Interval;
  readonly stolenShare: number;
}

async function measure(
  row: Row,
  pairs: number,
  baseline: HfBaseline | OtherBuild | undefined,
): Promise<Measured> {
  const count = Math.min(pairs, row.mostPairs ?? pairs);
  const isCovered = baseline?.covers(row) ?? false;
  const theirs = async (): Promise<number> =>
    baseline === undefined || !isCovered ? NaN : baseline.run(row);
  await row.run();
  await theirs();
  const before = readLoad();
  const times = await byTurns([row.run, theirs], count, (side) => side());
  const [a = [], b = []] = [times.get(row.run), times.get(theirs)];
  const after = readLoad();
  const stolenShare = (after.stolen - before.stolen) / Math.max(1, after.total - before.total);
  const own = { name: row.name, pairs: count, ms: median(a), stolenShare };
  if (!isCovered) return own;
  return {
    ...own,
    baselineMs: median(b),
    ratio: bootstrap(a.map((ours, i) => (b[i] ?? NaN) / ours)),
  };
}

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: TINY },
    dtype: { type: 'string', default: 'bf16' },
    weights: { type: 'string', default: 'stored' },
    device: { type: 'string', default: 'cpu' },
    pairs: { type: 'string', default: '15' },
    threads: { type: 'string', default: '2' },
    baseline: { type: 'string' },
    against: { type: 'string' },
    rows: { type: 'string', default: '' },
    out: { type: 'string' },
  },
});
const weights = values.weights as WeightForm; // refused by name where it is none
const dtype = values.dtype === 'fp32' ? 'fp32' : 'bf16';
if (values.model === TINY)
  console.log('No --model: the tiny checkpoint, a smoke run whose figures mean nothing.');
const { parts, rows: modelRows } = await openRows({ ...values, weights });
const { native, config, tokenizer } = parts;
const baseline =
  values.against !== undefined
    ? await OtherBuild.start(values.against, { ...values, weights })
    : values.baseline === undefined
      ? undefined
      : await HfBaseline.start(
          values.baseline,
          values.model,
          dtype,
          Number(values.threads),
          values.device,
        );
if (baseline === undefined)
  console.log(
    'No --baseline PYTHON (with transformers) and no --against ADDON: the rows run alone.',
  );
const { tileSize } = config;
const rows = [
  await createPreprocessRow(join(ROOT, 'examples', 'photo.jpg'), tileSize),
  ...modelRows,
].filter((row) => row.name.includes(values.rows));
const results: Measured[] = [];
for (const row of rows) {
  const result = await measure(row, Number(values.pairs), baseline);
  results.push(result);
  const beside =
    result.ratio === undefined
      ? ''
      : `  ${baseline?.name ?? ''} ${(result.baselineMs ?? NaN).toFixed(1).padStart(9)} ms  ratio ${result.ratio.median.toFixed(2)} ` +
        `[${result.ratio.low.toFixed(2)}, ${result.ratio.high.toFixed(2)}]`;
  console.log(
    `${row.name.padEnd(40)} ${result.ms.toFixed(1).padStart(9)} ms${beside}  (${result.pairs} runs)`,
  );
}
baseline?.stop();
await Promise.all([native.dispose().promise, tokenizer.dispose()]);
await writeReport(values, { results });
