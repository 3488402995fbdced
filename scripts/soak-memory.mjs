#!/usr/bin/env node
/**
 * A day's requests in minutes: questions about pictures and text, streams that are left, requests that are
 * aborted, batches, choices, pictures never seen before. Memory must not grow with them: after the warm-up,
 * in which caches and allocators fill, the growth of the process's own resident memory (the weights' file, which
 * the system may take back at any time, does not count) is held to a bound.
 *
 *     node --expose-gc scripts/soak-memory.mjs [requests, default 20000] [report.json]
 *
 * Needs what `npm run build` makes. Not part of the tests: it takes minutes. test/e2e/memory.test.ts looks for
 * whole pictures that stay. What is drawn comes from a seeded generator.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import sharp from 'sharp';

import { FaceLlm } from '../dist/index.js';

const CHECKPOINT = join(dirname(dirname(fileURLToPath(import.meta.url))), 'golden', 'ckpt-300m');
const requests = Number(process.argv[2] ?? 20_000);
/** In these, caches and pools fill. */
const warmUp = Math.floor(requests / 4);
const SAMPLES = 60;
const AT_ONCE = 4;
/**
 * Bytes that a request may leave behind. A picture of the test is 9,408 bytes, its vectors 1,024 at least,
 * the keys and values of a prompt some 10,000: losing any of them at every tenth request is more. The engine
 * keeps a number for each of the last 100,000 pictures, some 150 bytes.
 */
const MOST_BYTES_A_REQUEST = 512;

const collect = /** @type {{ gc?: () => void }} */ (globalThis).gc;
if (collect === undefined) throw new Error('run it with node --expose-gc');

/** A linear congruential generator (constants of Numerical Recipes): the same run every time. */
let state = 1;
/** @param {number} below */
function draw(below) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}

/** Of one shade and one size; a fresh array every time. @param {number} shade */
const raw = (shade, width = 56) => ({
  data: new Uint8Array(width * 56 * 3).fill(shade % 256).fill(Math.floor(shade / 256), 0, 3),
  width,
  height: 56,
});
const { data } = raw(99, 112);
const png = await sharp(data, { raw: { width: 112, height: 56, channels: 3 } })
  .png()
  .toBuffer();

/** Small enough that the run pushes out most of what it puts in. */
const model = await FaceLlm.load(CHECKPOINT, {
  dtype: 'fp32',
  imageCacheBytes: 1 << 16,
  prefixCacheBytes: 1 << 20,
});

const question = () => 'Describe the face. '.repeat(1 + draw(4)) + String(draw(50));
const limit = () => ({ maxNewTokens: 1 + draw(4) });
/** @type {(() => Promise<unknown>)[]} */
const KINDS = [
  () => model.ask({ question: question(), ...limit() }).result(),
  // Known pictures, and ones that come once only.
  () => model.ask({ image: raw(draw(8)), question: question(), ...limit() }).result(),
  () => model.ask({ image: raw(draw(60_000)), question: question(), ...limit() }).result(),
  () =>
    model
      .ask({ image: png, question: question(), temperature: 2, seed: draw(9), ...limit() })
      .result(),
  () => model.choose({ image: raw(draw(8)), question: 'Which?', choices: ['a', 'b b', 'b c'] }),
  async () => {
    for await (const piece of model.ask({ question: question(), maxNewTokens: 50 })) {
      if (piece !== '' || true) break;
    }
  },
  async () => {
    const abort = new AbortController();
    const asked = model.ask({ question: question(), maxNewTokens: 50, signal: abort.signal });
    setTimeout(() => abort.abort(new Error('enough')), draw(5));
    await asked.result().catch((/** @type {Error} */ error) => {
      if (error.message !== 'enough') throw error;
    });
  },
  () =>
    model.chatBatch(
      Array.from({ length: 1 + draw(3) }, () => [
        { role: /** @type {const} */ ('user'), content: question() },
      ]),
      limit(),
    ),
  // An error leaves nothing behind either.
  () =>
    model
      .ask({ image: { ...raw(1), width: 57 }, question: 'x' })
      .result()
      .then(
        () => Promise.reject(new Error('a picture of a wrong size was taken')),
        () => undefined,
      ),
];

/** A line of what the kernel says of this process. @param {string} name */
function statusBytes(name) {
  const status = readFileSync('/proc/self/status', 'utf8');
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
}

/** @type {{ request: number; ownBytes: number; heapBytes: number }[]} */
const samples = [];
function sample(/** @type {number} */ request) {
  collect?.();
  const { heapUsed } = process.memoryUsage();
  samples.push({ request, ownBytes: statusBytes('RssAnon'), heapBytes: heapUsed });
}

let begun = 0;
const startedAt = Date.now();
const every = Math.max(1, Math.floor((requests - warmUp) / SAMPLES));
/** The next few wait for one another, so that a sample is taken while nothing is under way. */
while (begun < requests) {
  const round = Math.min(every, requests - begun);
  const until = begun + round;
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (begun < until) {
        begun++;
        await KINDS[draw(KINDS.length)]?.();
      }
    }),
  );
  if (begun >= warmUp) sample(begun);
}

/**
 * Bytes a request: how much higher the highest sample of the second half is than that of the first. Collectors
 * and allocators give memory back now and then and take it again, which a line through all samples would take
 * for growth; what is lost raises the highest one all the same.
 *
 * @param {'ownBytes' | 'heapBytes'} what
 */
function growth(what) {
  const half = samples.length >> 1;
  const highest = (/** @type {typeof samples} */ some) =>
    Math.max(...some.map((taken) => taken[what]));
  const raised = highest(samples.slice(half)) - highest(samples.slice(0, half));
  return Math.round(raised / ((requests - warmUp) / 2));
}

const last = await model.ask({ question: 'The last one.', maxNewTokens: 1 }).result();
await model.dispose();
const result = {
  requests,
  seconds: Math.round((Date.now() - startedAt) / 1000),
  ownBytesARequest: growth('ownBytes'),
  heapBytesARequest: growth('heapBytes'),
  firstOwnBytes: samples[0]?.ownBytes,
  lastOwnBytes: samples.at(-1)?.ownBytes,
  peakResidentBytes: statusBytes('VmHWM'),
  enginePeakBytes: last.peakBytes,
};
process.stdout.write(`${JSON.stringify(result)}\n`);
if (process.argv[3] !== undefined)
  writeFileSync(process.argv[3], JSON.stringify({ ...result, samples }));
if (result.ownBytesARequest > MOST_BYTES_A_REQUEST) {
  process.stderr.write(`more than ${MOST_BYTES_A_REQUEST} bytes a request stay behind\n`);
  process.exitCode = 1;
}
