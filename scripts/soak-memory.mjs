#!/usr/bin/env node
/**
 * A day's requests in minutes: questions about pictures and text, several answers, masks, choices, batches, pictures never
 * seen before, and a share of all of them cancelled at random moments: while pictures are decoded, while they wait, prefill, answer. The
 * pool of keys and values is too small for all of them, so that rows lose their blocks too. Between rounds nothing is under
 * way: blocks, pins and rows must be back to zero. Memory must not grow with the requests: after the warm-up,
 * in which caches and allocators fill, the growth of the process's own resident memory (the weights' file, which
 * the system may take back at any time, does not count) is held to a bound.
 *
 *     node --expose-gc scripts/soak-memory.mjs [requests, default 10000] [cancelled of 100, default 40] [report.json]
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
const requests = Number(process.argv[2] ?? 10_000);
const cancelledOf100 = Number(process.argv[3] ?? 40);
/** In these, caches and pools fill. */
const warmUp = Math.floor(requests / 4);
const SAMPLES = 60;
const AT_ONCE = 12;
/**
 * Bytes that a request may leave behind. A picture of the test is 9,408 bytes, its vectors 1,024 at least,
 * a block of keys and values 32,768: losing any of them at every fifth request is more. The engine
 * keeps a number for each of the last 100,000 pictures, some 150 bytes.
 */
const MOST_BYTES_A_REQUEST = 1024;

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

/** Small enough that the run pushes out most of what it puts in, and that a dozen requests do not fit. */
const model = await FaceLlm.load(CHECKPOINT, {
  dtype: 'fp32',
  imageCacheBytes: 1 << 16,
  prefixCacheBytes: 1 << 18,
  // As many threads as so small a model has use for.
  ...{ threads: 1, maxContext: 512, kvMemory: 10 << 15, maxRows: 8 },
});
const even = new Uint32Array(Math.ceil(model.config.model.text.vocabSize / 32)).fill(0x55555555);

const question = () => 'Describe the face. '.repeat(1 + draw(10)) + String(draw(50));
/** Long enough to be cancelled in the middle, short enough to end. */
const limit = () => ({ maxNewTokens: 1 + draw(80) });
/** @typedef {AbortSignal | undefined} Signal */
/** @type {((signal: Signal) => Promise<unknown>)[]} */
const KINDS = [
  (signal) => model.ask({ question: question(), ...limit(), signal }).result(),
  // Known pictures, and ones that come once only.
  (signal) => model.ask({ image: raw(draw(8)), question: question(), ...limit(), signal }).result(),
  (signal) =>
    model.ask({ image: raw(draw(60_000)), question: question(), ...limit(), signal }).result(),
  (signal) =>
    model
      .ask({ image: png, question: question(), temperature: 2, seed: draw(9), ...limit(), signal })
      .result(),
  // Answers that share a prompt, with everything that can be asked of them.
  (signal) =>
    model
      .ask({
        ...{ image: raw(draw(8)), question: question(), n: 1 + draw(4), temperature: 1, signal },
        ...{ ...limit(), topLogProbs: 3, presencePenalty: 1, logitBias: { 5: 2, 6: -2 } },
      })
      .result(),
  (signal) => model.ask({ question: question(), mask: () => even, ...limit(), signal }).result(),
  (signal) =>
    model.choose({
      ...{ image: raw(draw(8)), signal },
      items: Array.from({ length: 1 + draw(4) }, () => ({
        ...{ question: question(), choices: ['a', 'b b', 'b c'] },
      })),
    }),
  (signal) =>
    model.choose({ image: raw(draw(60_000)), question: 'Which?', choices: ['a', 'b'], signal }),
  (signal) =>
    model.chatBatch(
      Array.from({ length: 1 + draw(3) }, () => [
        { role: /** @type {const} */ ('user'), content: question() },
      ]),
      { ...limit(), signal },
    ),
  // Left in the middle.
  async (signal) => {
    for await (const piece of model.ask({ question: question(), maxNewTokens: 50, signal })) {
      if (piece !== '' || true) break;
    }
  },
  // An error leaves nothing behind either.
  () =>
    model
      .ask({ image: { ...raw(1), width: 57 }, question: 'x' })
      .result()
      .then(
        () => Promise.reject(new Error('a picture of a wrong size was taken')),
        () => undefined,
      ),
  (signal) => {
    const mask = () => {
      throw new Error('no mask');
    };
    return model
      .ask({ question: question(), mask, signal })
      .result()
      .catch((/** @type {Error & { code?: string }} */ error) => {
        if (error.code !== 'FACELLM_INVALID_ARGUMENT') throw error;
      });
  },
];

const ENOUGH = 'enough';
const ends = { finished: 0, cancelled: 0 };
/** One request of a random kind. Some end before they are cancelled: more are tried where too few have been. */
async function one() {
  const run = KINDS[draw(KINDS.length)];
  const isBehind = 100 * ends.cancelled < cancelledOf100 * (ends.finished + ends.cancelled);
  const isCancelled = cancelledOf100 > 0 && draw(100) < cancelledOf100 + (isBehind ? 20 : -20);
  const abort = new AbortController();
  // Anywhere between the call and what an answer takes at most: half of the moments are in its first milliseconds.
  const moment = draw(2) === 0 ? draw(6) : draw(60);
  const timer = isCancelled ? setTimeout(() => abort.abort(new Error(ENOUGH)), moment) : undefined;
  try {
    await run?.(isCancelled ? abort.signal : undefined);
    ends.finished++;
  } catch (error) {
    if (!(error instanceof Error) || error.message !== ENOUGH) throw error;
    ends.cancelled++;
  } finally {
    clearTimeout(timer);
  }
}

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

/** What was cancelled leaves within a step: blocks, pins, rows. */
async function checkNothingIsHeld() {
  for (let tries = 0; ; tries++) {
    const { usedBlocks, pinnedImages, runningRows, waitingRequests } = await model.stats();
    const held = { usedBlocks, pinnedImages, runningRows, waitingRequests };
    if (Object.values(held).every((count) => count === 0)) return;
    if (tries === 100) throw new Error(`after ${begun} requests held: ${JSON.stringify(held)}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
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
        await one();
      }
    }),
  );
  await checkNothingIsHeld();
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
const { preemptions, tilesEncoded, tokensGenerated, totalBlocks } = await model.stats();
await model.dispose();
const result = {
  ...{ requests, ...ends, preemptions, tilesEncoded, tokensGenerated, totalBlocks },
  seconds: Math.round((Date.now() - startedAt) / 1000),
  ownBytesARequest: growth('ownBytes'),
  heapBytesARequest: growth('heapBytes'),
  firstOwnBytes: samples[0]?.ownBytes,
  lastOwnBytes: samples.at(-1)?.ownBytes,
  peakResidentBytes: statusBytes('VmHWM'),
  enginePeakBytes: last.peakBytes,
};
process.stdout.write(`${JSON.stringify(result)}\n`);
if (process.argv[4] !== undefined)
  writeFileSync(process.argv[4], JSON.stringify({ ...result, samples }));
if (result.ownBytesARequest > MOST_BYTES_A_REQUEST) {
  process.stderr.write(`more than ${MOST_BYTES_A_REQUEST} bytes a request stay behind\n`);
  process.exitCode = 1;
}
