/**
 * `npm run bench:checkouts -- --other DIR --model DIR [--dtype bf16] [--threads 2] [--pairs 7] [--rows token] [--out FILE]`: a tile, a prompt of some
 * 316 tokens and a token behind it, by the library of this checkout and of another one that is built (`npm run build`
 * in it), each in a process of its own and by public names alone; A B B A after a warm-up, medians, and the median of the
 * pairs' ratios with a 95 % interval. The environment (a cap on the processor's level, say) holds for both.
 */
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { readCheckpointConfig } from '../lib/checkpoint/index.js';
import { BaselineProcess } from './baselines/baseline-process.js';
import { readLoad, writeReport } from './harness/environment.js';
import { bootstrap, median } from './harness/statistics.js';
import { byTurns } from './harness/turns.js';

const { values } = parseArgs({
  options: {
    other: { type: 'string' },
    model: { type: 'string' },
    dtype: { type: 'string', default: 'bf16' },
    threads: { type: 'string', default: '2' },
    pairs: { type: 'string', default: '7' },
    rows: { type: 'string', default: '' },
    out: { type: 'string' },
  },
});
if (values.other === undefined || values.model === undefined) {
  throw new Error('--other DIR (a built checkout) and --model DIR are needed');
}

interface Question {
  readonly kind: 'tile' | 'prompt' | 'token';
  readonly words?: number;
  readonly steps?: number;
}
interface Answer {
  readonly ms: number;
  readonly tokens?: number;
}

const { tileSize } = await readCheckpointConfig(values.model);
const open = (root: string): Promise<BaselineProcess<Question, Answer>> =>
  BaselineProcess.start(process.execPath, 'serve-checkout.mjs', [
    ...[root, values.model ?? '', values.dtype, values.threads],
    String(tileSize),
  ]);
const ours = await open(join(import.meta.dirname, '..'));
const theirs = await open(resolve(values.other));

/** So many random words as make some 316 tokens of this tokenizer. */
async function wordsOfAPrompt(): Promise<number> {
  const { tokens = NaN } = await ours.run({ kind: 'prompt', words: 100 });
  const { tokens: more = NaN } = await ours.run({ kind: 'prompt', words: 200 });
  return Math.max(1, Math.round(100 + (316 - tokens) / ((more - tokens) / 100)));
}
const words = await wordsOfAPrompt();

const rows: readonly (readonly [string, Question])[] = [
  ['a tile', { kind: 'tile' }],
  ['a prompt', { kind: 'prompt', words }],
  ['a token, mean of 32', { kind: 'token', words, steps: 32 }],
];
const results = [];
for (const [name, question] of rows.filter(([name]) => name.includes(values.rows))) {
  await ours.run(question);
  await theirs.run(question);
  const before = readLoad();
  const answers = await byTurns([ours, theirs], Number(values.pairs), (side) => side.run(question));
  const [a = [], b = []] = [answers.get(ours), answers.get(theirs)];
  const after = readLoad();
  const stolenShare = (after.stolen - before.stolen) / Math.max(1, after.total - before.total);
  const ms = median(a.map((one) => one.ms));
  const otherMs = median(b.map((one) => one.ms));
  const ratio = bootstrap(a.map((one, i) => (b[i]?.ms ?? NaN) / one.ms));
  const promptTokens = a[0]?.tokens;
  results.push({ name, ms, otherMs, ratio, promptTokens, stolenShare });
  console.log(
    `${name.padEnd(22)} ${ms.toFixed(1)} ms, the other ${otherMs.toFixed(1)} ms, ratio ${ratio.median.toFixed(2)} ` +
      `[${ratio.low.toFixed(2)}, ${ratio.high.toFixed(2)}]`,
  );
}
ours.stop();
theirs.stop();
await writeReport(values, { results });
