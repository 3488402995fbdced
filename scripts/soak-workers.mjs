#!/usr/bin/env node
/**
 * Terminates worker threads in the middle of native work, many times over, and then asks whether the
 * engine is still the one it was: the same answer, no thread or memory left behind.
 *
 *     node scripts/soak-workers.mjs [terminations, default 1000] [at once, default 4]
 *
 * Needs what `npm run build` makes. Not part of the tests: it takes minutes. Delays are drawn from a
 * seeded generator, so that terminations fall on start, loading, prefill and decoding alike.
 */
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

import { readCheckpointConfig, readCheckpointFiles } from '../dist/checkpoint/index.js';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const ADDON = process.env.FACELLM_ADDON ?? join(ROOT, 'build', 'Release', 'facellm.node');
const CHECKPOINT = join(ROOT, 'golden', 'ckpt-300m');
const terminations = Number(process.argv[2] ?? 1000);
const atOnce = Number(process.argv[3] ?? 4);

const [files, config] = await Promise.all([
  readCheckpointFiles(CHECKPOINT),
  readCheckpointConfig(CHECKPOINT),
]);
const load = {
  config: config.model,
  preprocessing: config.preprocessing,
  files: files.dataFiles,
  weightMap: files.weightMap,
  device: 'cpu',
  dtype: 'fp32',
  weights: { text: 'stored', head: 'stored', vision: 'stored', group: 64 },
  mmap: true,
  imageCacheBytes: 0,
  prefixCacheBytes: 1 << 20,
  ...{ kvBytes: 1 << 25, maxRows: 16, maxContext: 32_768, deterministic: false },
};
const greedy = {
  isGreedy: true,
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  seed: 0,
  ...{ frequencyPenalty: 0, presencePenalty: 0, minTokens: 0, topLogProbs: 0, logProbs: 'raw' },
  ...{ biasIds: new Int32Array(), biases: new Float32Array() },
};
const request = (/** @type {number} */ maxNewTokens) => ({
  prompt: { ids: Int32Array.of(5, 6, 7, 8), images: [] },
  ...{ rows: 1, firstRow: 0 },
  sampling: greedy,
  maxNewTokens,
  eosIds: [],
  usesPrefixCache: true,
  isMasked: false,
  adapters: [],
});

/** Loads a model, then generates without end, from tokens' callbacks too; says how far it has come. */
const WORKER = `
const { parentPort, workerData } = require('node:worker_threads');
const addon = require(workerData.addon);
parentPort.postMessage('loading');
addon.loadModel(workerData.load, () => {}).promise.then(async (model) => {
  parentPort.postMessage('loaded');
  let said = false;
  model.onTokens(() => {
    if (!said) parentPort.postMessage('decoding');
    said = true;
  });
  for (;;) {
    said = false;
    const job = model.generate(workerData.request);
    model.generate(workerData.request).promise.catch(() => {});
    await job.promise;
  }
});
`;

/** A linear congruential generator (constants of Numerical Recipes): the same run every time. */
let state = 1;
function random() {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
}

/** @type {Record<string, number>} */
const reached = { starting: 0, loading: 0, loaded: 0, decoding: 0 };

/** One worker, terminated up to 20 ms after it has come as far as drawn. */
async function terminateOne() {
  const waitFor =
    ['starting', 'loading', 'decoding', 'decoding'][Math.floor(random() * 4)] ?? 'decoding';
  const delay = random() * 20;
  const worker = new Worker(WORKER, {
    eval: true,
    workerData: { addon: ADDON, load, request: request(20_000) },
  });
  let stage = 'starting';
  await new Promise((resolve, reject) => {
    worker.on('error', reject);
    const arrived = () => void setTimeout(resolve, delay);
    worker.on('message', (/** @type {string} */ message) => {
      stage = message;
      if (message === waitFor) arrived();
    });
    if (waitFor === 'starting') arrived();
  });
  await worker.terminate();
  reached[stage] = (reached[stage] ?? 0) + 1;
}

const threads = () => readdirSync('/proc/self/task').length;
const megabytes = () => Math.round(process.memoryUsage().rss / 1e6);

const model = await createRequire(import.meta.url)(ADDON).loadModel(load, () => {}).promise;
/** @type {number[]} */
let ids = [];
model.onTokens((/** @type {{ ids: Int32Array }} */ batch) => ids.push(...batch.ids));
/** One at a time. @returns {Promise<string>} */
async function answer() {
  ids = [];
  await model.generate(request(40)).promise;
  return ids.join(' ');
}

const expected = await answer();
const startedAt = Date.now();
let begun = 0;
let done = 0;
async function keepTerminating() {
  while (begun < terminations) {
    begun++;
    await terminateOne();
    done++;
    if (done % 100 === 0) {
      if ((await answer()) !== expected)
        throw new Error(`another answer after ${done} terminations`);
      process.stderr.write(`${done} terminated, ${threads()} threads, ${megabytes()} MB\n`);
    }
  }
}
await Promise.all(Array.from({ length: atOnce }, keepTerminating));
const isSame = (await answer()) === expected;
await model.dispose().promise;
process.stdout.write(
  `${done} workers terminated in ${Math.round((Date.now() - startedAt) / 1000)} s, last stage ` +
    `${JSON.stringify(reached)}, ${threads()} threads, ${megabytes()} MB, answer ${isSame ? 'the same' : 'CHANGED'}\n`,
);
process.exitCode = isSame ? 0 : 1;
