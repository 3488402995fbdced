/**
 * `npm run bench:train -- --model DIR [--batch 1] [--pictures N] [--rows TEXT] [--pairs 5] [--baseline PYTHON]
 * [--out FILE]`: LoRA steps
 * beside transformers + PEFT on the same checkpoint, steps alternating A B B A. The baseline keeps its picture
 * encoder in every step, as it does in a real run; rows with cached pictures say so in their names. `--pictures`: instead
 * steps of N pictures with eight questions each, which share what they begin with or do not.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { readCheckpointConfig } from '../../lib/checkpoint/index.js';
import { writeReport } from '../harness/environment.js';
import type { RowJob, RowResult } from './measure-row.js';
import { pictureRows, trainingRows } from './rows.js';

const TINY = join(import.meta.dirname, '..', '..', 'golden', 'ckpt-300m');
const MEASURE = join(import.meta.dirname, 'measure-row.ts');

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: TINY },
    device: { type: 'string', default: 'cpu' },
    batch: { type: 'string', default: '1' },
    pictures: { type: 'string' },
    rows: { type: 'string', default: '' },
    pairs: { type: 'string', default: '5' },
    threads: { type: 'string', default: '2' },
    baseline: { type: 'string' },
    out: { type: 'string' },
  },
});
const isSmoke = values.model === TINY;
if (isSmoke)
  console.log('No --model: the tiny checkpoint, a smoke run whose figures mean nothing.');
const { text } = (await readCheckpointConfig(values.model)).model;
const heads = text.numAttentionHeads * text.headDim;
const layerWeights =
  text.numHiddenLayers *
  (text.hiddenSize * (2 * heads + 2 * text.numKeyValueHeads * text.headDim) +
    3 * text.hiddenSize * text.intermediateSize);
const headWeights = text.vocabSize * text.hiddenSize;
const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(2);

function measure(job: RowJob): RowResult {
  const args = [...process.execArgv, MEASURE, JSON.stringify(job)];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })) as RowResult;
}

/** Products with the text layers' weights, forward and towards the inputs, and the head's of learnt rows: FLOP an update. */
const arithmetic = (tokens: number, learntRows: number): number =>
  4 * (tokens * layerWeights + learntRows * headWeights);

const rows =
  values.pictures === undefined
    ? trainingRows(Number(values.batch))
    : pictureRows(Number(values.pictures));
const asked = rows.filter(({ name }) => name.includes(values.rows));
const results = asked.map((row) => {
  const result = measure({
    row: isSmoke ? { ...row, request: { ...row.request, imageTokens: 4 } } : row,
    model: values.model,
    device: values.device,
    threads: Number(values.threads),
    pairs: Number(values.pairs),
    baseline: values.baseline ?? '',
  });
  const { ms, peakBytes, pairs, beside, computedShare } = result;
  const { microBatches, batch, tokens, learnt } = row.request;
  const samples = microBatches * batch;
  const useful = arithmetic(samples * tokens, samples * learnt);
  const done = arithmetic(samples * tokens * computedShare, samples * learnt);
  const theirs =
    beside === undefined
      ? ''
      : `  transformers + PEFT ${beside.ms.toFixed(0)} ms, ${gigabytes(beside.peakBytes)} GB  ratio ` +
        `${beside.ratio.median.toFixed(2)} [${beside.ratio.low.toFixed(2)}, ${beside.ratio.high.toFixed(2)}]`;
  console.log(
    `${row.name}: ${ms.toFixed(0)} ms, ${gigabytes(peakBytes)} GB${theirs}  (${pairs} steps)\n` +
      `  useful ${(useful / 1e12).toFixed(2)} TFLOP, done ${(done / 1e12).toFixed(2)} ` +
      `(${(100 * computedShare).toFixed(0)} % of the tokens), ${(useful / 1e9 / ms).toFixed(2)} useful TFLOP/s`,
  );
  return { ...result, useful, done };
});
await writeReport(values, { results });
