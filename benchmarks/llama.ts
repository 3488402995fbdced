/**
 * `node --import=./test/support/tsx.mjs benchmarks/llama.ts --model DIR --gguf FOLDER --llama PACKAGE [--pairs 3] [--out FILE]`: the text
 * model of DIR beside node-llama-cpp on the same weights, by turns, each of our forms beside theirs of as many bits: bf16 and BF16, int8 and
 * Q8_0, int4 and Q4_0.
 *
 * PACKAGE: where node-llama-cpp is installed (`npm install node-llama-cpp` in a folder of its own, then
 * `node_modules/node-llama-cpp`); its prebuilt library is taken. FOLDER: bf16.gguf, q8_0.gguf and q4_0.gguf of DIR's text model.
 */
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

import { type WeightForm } from '../lib/model/index.js';
import { loadParts } from '../lib/model/load.js';
import { writeReport } from './harness/environment.js';
import { bootstrap, median } from './harness/statistics.js';
import { byTurns } from './harness/turns.js';
import { createRows } from './inference/rows.js';

/** Of node-llama-cpp 3.22 what is used here. */
interface Llama {
  loadModel(options: { readonly modelPath: string }): Promise<{
    createContext(options: {
      readonly contextSize: number;
      readonly batchSize: number;
      readonly threads: number;
    }): Promise<{ getSequence(): Sequence; dispose(): Promise<void> }>;
    dispose(): Promise<void>;
  }>;
}
interface Sequence {
  clearHistory(): Promise<void>;
  evaluateWithoutGeneratingNewTokens(tokens: readonly number[]): Promise<void>;
  evaluate(
    tokens: readonly number[],
    options: { readonly temperature: number; readonly yieldEogToken: boolean },
  ): AsyncIterable<number>;
}

const FORMS: readonly (readonly [WeightForm, string])[] = [
  ['stored', 'bf16'],
  ['int8', 'q8_0'],
  ['int4', 'q4_0'],
];
const PROMPT = 316;
const STEPS = 32;

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    gguf: { type: 'string' },
    llama: { type: 'string' },
    pairs: { type: 'string', default: '3' },
    threads: { type: 'string', default: '2' },
    out: { type: 'string' },
  },
});
const { model, gguf, llama: location } = values;
if (model === undefined || gguf === undefined || location === undefined) {
  throw new Error('--model DIR, --gguf FOLDER and --llama PACKAGE are needed');
}
const entry = pathToFileURL(join(resolve(location), 'dist', 'index.js')).href;
const { getLlama } = (await import(entry)) as {
  getLlama: (options: object) => Promise<Llama>;
};
const threads = Number(values.threads);
const llama = await getLlama({
  ...{ gpu: false, build: 'never', logLevel: 'error' },
  maxThreads: threads,
});

interface Times {
  prefill: number;
  decode: number;
}

async function theirs(file: string): Promise<{ run(): Promise<Times>; stop(): Promise<void> }> {
  const loaded = await llama.loadModel({ modelPath: file });
  const context = await loaded.createContext({ contextSize: 512, batchSize: 512, threads });
  const sequence = context.getSequence();
  const run = async (): Promise<Times> => {
    const ids = Array.from({ length: PROMPT }, () => 100 + Math.floor(Math.random() * 900));
    await sequence.clearHistory();
    const start = performance.now();
    await sequence.evaluateWithoutGeneratingNewTokens(ids);
    const begin = performance.now();
    const answer = sequence
      .evaluate([100], { temperature: 0, yieldEogToken: true })
      [Symbol.asyncIterator]();
    for (let step = 0; step < STEPS; step++) await answer.next();
    return { prefill: begin - start, decode: performance.now() - begin };
  };
  const stop = async (): Promise<void> => {
    await context.dispose();
    await loaded.dispose();
  };
  return { run, stop };
}

async function ours(form: WeightForm): Promise<{ run(): Promise<Times>; stop(): Promise<void> }> {
  const parts = await loadParts(model as string, {
    ...{ dtype: 'bf16', device: 'cpu', weights: form, threads },
    // Every run computes.
    ...{ imageCacheBytes: 0, prefixCacheBytes: 0 },
  });
  const { native, config } = parts;
  const rows = createRows({
    ...{ native, directory: model as string, dtype: 'bf16', device: 'cpu' },
    tileSize: config.tileSize,
  });
  const row = (name: string): Promise<number> =>
    rows.find((one) => one.name.startsWith(name))?.run() ?? Promise.resolve(NaN);
  const run = async (): Promise<Times> => ({
    prefill: await row(`prefill ${PROMPT}`),
    decode: await row(`decode ${STEPS} at ${PROMPT}`),
  });
  const stop = async (): Promise<void> => {
    await native.dispose().promise;
    await parts.tokenizer.dispose();
  };
  return { run, stop };
}

const results: unknown[] = [];
for (const [form, type] of FORMS) {
  const sides = { ours: await ours(form), theirs: await theirs(join(gguf, `${type}.gguf`)) };
  for (const side of [sides.theirs, sides.ours]) await side.run();
  const order = ['ours', 'theirs'] as const;
  const times = await byTurns(order, Number(values.pairs), (side) => sides[side].run());
  for (const row of ['prefill', 'decode'] as const) {
    const [own, other] = order.map((side) => times.get(side)?.map((one) => one[row]));
    if (own === undefined || other === undefined) continue;
    const ratio = bootstrap(own.map((ms, i) => (other[i] ?? NaN) / ms));
    const shown = (all: readonly number[]): string =>
      row === 'decode'
        ? `${(median(all) / STEPS).toFixed(1)} ms a token`
        : `${median(all).toFixed(0)} ms`;
    console.log(
      `${row} ${form}: ${shown(own)}; ${type} of llama.cpp ${shown(other)}; ratio ${ratio.median.toFixed(2)} ` +
        `[${ratio.low.toFixed(2)}, ${ratio.high.toFixed(2)}]`,
    );
    results.push({ row, form, type, ours: own, theirs: other, ratio });
  }
  await sides.ours.stop();
  await sides.theirs.stop();
}
await writeReport(values, { results });
