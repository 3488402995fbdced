/**
 * `node --import=./test/support/tsx.mjs benchmarks/forms.ts --model DIR [--pairs 5] [--forms stored,int8,int4] [--rows TEXT] [--tower]
 * [--out FILE]`: the rows of `npm run bench` for a model whose weights are kept in several forms, all in one process and by
 * turns, forward and back, with the read roof taken between them. Ratio: the first form's time over that of each.
 *
 * Read roof: the system's own search for a byte (memchr) through 512 MB by a worker a core, the best of each round.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';

import { decodeBytes } from '../lib/model/weight-bytes.js';
import { resolveWeights, type WeightForm } from '../lib/model/index.js';
import { loadParts } from '../lib/model/load.js';
import { writeReport } from './harness/environment.js';
import { bootstrap, median } from './harness/statistics.js';
import { byTurns } from './harness/turns.js';
import { createRows, type Row } from './inference/rows.js';

const READ_BYTES = 512 * 2 ** 20;
const READER = `
const { parentPort, workerData } = require('node:worker_threads');
const bytes = Buffer.from(new ArrayBuffer(workerData)).fill(1);
parentPort.on('message', () => { bytes.indexOf(0); parentPort.postMessage(0); });
parentPort.postMessage(0);`;

/** GB/s that all cores read together. */
class ReadRoof {
  readonly #workers: readonly Worker[];

  private constructor(workers: readonly Worker[]) {
    this.#workers = workers;
  }

  static async start(): Promise<ReadRoof> {
    const count = availableParallelism();
    const workers = Array.from(
      { length: count },
      () => new Worker(READER, { eval: true, workerData: Math.floor(READ_BYTES / count) }),
    );
    await Promise.all(workers.map((worker) => told(worker)));
    return new ReadRoof(workers);
  }

  async measure(): Promise<number> {
    let best = 0;
    for (let round = 0; round < 3; round++) {
      const start = performance.now();
      const all = Promise.all(this.#workers.map((worker) => told(worker)));
      for (const worker of this.#workers) worker.postMessage(0);
      await all;
      best = Math.max(best, READ_BYTES / (performance.now() - start) / 1e6);
    }
    return best;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}

function told(worker: Worker): Promise<unknown> {
  return new Promise((resolve) => worker.once('message', resolve));
}

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    pairs: { type: 'string', default: '5' },
    forms: { type: 'string', default: 'stored,int8,int4' },
    rows: { type: 'string', default: '' },
    tower: { type: 'boolean', default: false },
    threads: { type: 'string', default: '2' },
    out: { type: 'string' },
  },
});
const { model } = values;
if (model === undefined) throw new Error('--model DIR is needed');

interface Loaded {
  readonly form: WeightForm;
  readonly rows: readonly Row[];
  /** That one token reads of weights. */
  readonly bytes: number;
}

const loaded: Loaded[] = [];
const closing: (() => Promise<unknown>)[] = [];
for (const form of values.forms.split(',') as WeightForm[]) {
  const weights = values.tower ? { text: form, vision: form } : form;
  const parts = await loadParts(model, {
    ...{ dtype: 'bf16', device: 'cpu', weights, threads: Number(values.threads) },
    // Every run computes.
    ...{ imageCacheBytes: 0, prefixCacheBytes: 0 },
  });
  const { native, config } = parts;
  const info = native.info();
  console.log(
    `${form.padEnd(8)} loaded in ${info.loadMs.toFixed(0)} ms, ${(info.parameterBytes / 1e9).toFixed(3)} GB of weights`,
  );
  loaded.push({
    form,
    rows: createRows({
      ...{ native, directory: model, dtype: 'bf16', device: 'cpu' },
      tileSize: config.tileSize,
    }),
    bytes: decodeBytes(config.model, 2, resolveWeights(form, config.model.text)),
  });
  closing.push(
    () => native.dispose().promise,
    () => parts.tokenizer.dispose(),
  );
}
const roof = await ReadRoof.start();
const results: unknown[] = [];
for (const [i, { name }] of (loaded[0]?.rows ?? []).entries()) {
  if (name.startsWith('load') || !name.includes(values.rows)) continue;
  const roofs: number[] = [];
  const run = async (which: number): Promise<number> =>
    (await loaded[which]?.rows[i]?.run()) ?? NaN;
  for (const which of loaded.keys()) await run(which);
  const times = await byTurns([...loaded.keys()], Number(values.pairs), run, async () => {
    roofs.push(await roof.measure());
  });
  const steps = Number(/^decode (\d+)/.exec(name)?.[1] ?? NaN);
  for (const [which, { form, bytes }] of loaded.entries()) {
    const own = times.get(which) ?? [];
    const ratio = bootstrap(own.map((ms, pair) => (times.get(0)?.[pair] ?? NaN) / ms));
    const rates = own.map((ms) => (bytes * steps) / ms / 1e6);
    const shares = rates.map((rate, pair) => rate / (roofs[pair] ?? NaN));
    const reading = Number.isNaN(steps)
      ? ''
      : `  ${(median(own) / steps).toFixed(1)} ms a step, ${median(rates).toFixed(1)} GB/s of weights, ` +
        `${median(shares).toFixed(2)} of the read roof (${median(roofs).toFixed(1)})`;
    console.log(
      `${name.padEnd(28)} ${form.padEnd(7)} ${median(own).toFixed(0).padStart(7)} ms  ratio ${ratio.median.toFixed(2)} ` +
        `[${ratio.low.toFixed(2)}, ${ratio.high.toFixed(2)}]${reading}`,
    );
    results.push({ row: name, form, times: own, roofs, bytes });
  }
}
await roof.stop();
for (const close of closing) await close();
await writeReport(values, { results });
