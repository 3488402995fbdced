/**
 * `npm run bench:company -- --model DIR [--dtype bf16] [--rounds 3] [--out FILE]`: what requests gain and cost together.
 * Answers at once; eight questions about one face in one call, in eight, and one alone; how long an answering row waits
 * while others bring pictures; and the same in deterministic mode, whose model takes turns with the other in every
 * round. Medians of rounds, after one that is not counted. Needs what `npm run build` makes.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';

import type { FaceLlm, RawImage } from '../lib/index.js';
import { importBuilt } from './harness/built.js';
import { describeEnvironment, readLoad, reportArguments } from './harness/environment.js';
import { median } from './harness/statistics.js';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: join(import.meta.dirname, '..', 'golden', 'ckpt-300m') },
    dtype: { type: 'string', default: 'bf16' },
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '3' },
    parts: { type: 'string', default: 'rows,choose,gaps' },
    out: { type: 'string' },
  },
});
const AT_ONCE = [1, 2, 4, 8, 16];
const STEPS = 16;

/** One tile of noise, never seen before. */
function face(side: number): RawImage {
  const data = Uint8Array.from({ length: side * side * 3 }, () => Math.random() * 256);
  return { data, width: side, height: side };
}

const words = (): string =>
  Array.from({ length: 8 }, () => Math.random().toString(36).slice(2, 6)).join(' ');

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** Tokens a second of so many answers at once, first tokens not counted; all ask about one picture that is known. */
async function tokensPerSecond(model: FaceLlm, image: RawImage, rows: number): Promise<number> {
  const answers = await Promise.all(
    Array.from({ length: rows }, () =>
      model
        .ask({
          ...{ image, question: words(), tiling: 'off', doSample: false },
          ...{ maxNewTokens: STEPS + 1, minTokens: STEPS + 1 },
        })
        .result(),
    ),
  );
  // Of requests that go along together each counts every step.
  const decode = Math.max(...answers.map(({ timings }) => timings.decode));
  return (1000 * rows * STEPS) / decode;
}

const QUESTIONS = Array.from({ length: 8 }, (_, i) => ({
  question: `Question ${i}: is this person smiling, and is the photo taken outside?`,
  choices: ['Yes', 'No', 'That cannot be seen'],
}));

/** Milliseconds between the tokens of one answer, longest of all, while `beside` goes on. */
async function longestGap(
  model: FaceLlm,
  image: RawImage,
  beside: () => Promise<unknown>,
): Promise<number> {
  const stream = model.ask({
    ...{ image, question: words(), tiling: 'off', maxNewTokens: 64, minTokens: 64 },
    doSample: false,
  });
  let last = 0;
  let longest = 0;
  let others: Promise<unknown> | undefined;
  for await (const { tokens } of stream.pieces()) {
    if (tokens.length === 0) continue;
    const now = performance.now();
    if (last !== 0) longest = Math.max(longest, now - last);
    last = now;
    others ??= beside();
  }
  await others;
  return longest;
}

interface Row {
  readonly name: string;
  readonly unit: string;
  readonly run: (model: FaceLlm) => Promise<number>;
}

/** @param image known to the model, of side `side` */
function createRows(image: RawImage, side: number): Row[] {
  const gap = (beside: (model: FaceLlm) => Promise<unknown>) => (model: FaceLlm) =>
    longestGap(model, image, () => beside(model));
  const asks = (count: number, tiling: 'off' | undefined) => (model: FaceLlm) =>
    Promise.all(
      Array.from({ length: count }, () =>
        model.ask({ image: face(2 * side), question: words(), tiling, maxNewTokens: 2 }).result(),
      ),
    );
  const parts: Readonly<Record<string, Row[]>> = {
    rows: AT_ONCE.map((rows) => ({
      name: `${rows} answers at once`,
      unit: 'tokens/s',
      run: (model) => tokensPerSecond(model, image, rows),
    })),
    choose: [
      {
        name: 'choose, 1 question of a new face',
        unit: 'ms',
        run: (model) =>
          timed(() => model.choose({ image: face(side), items: QUESTIONS.slice(0, 1) })),
      },
      {
        name: 'choose, 8 questions of a new face in one call',
        unit: 'ms',
        run: (model) => timed(() => model.choose({ image: face(side), items: QUESTIONS })),
      },
      {
        name: 'choose, 8 calls one after another, caches on',
        unit: 'ms',
        run: async (model) => {
          const image = face(side);
          return timed(async () => {
            for (const question of QUESTIONS) await model.choose({ image, ...question });
          });
        },
      },
      {
        name: 'choose, 8 calls one after another, nothing kept',
        unit: 'ms',
        run: async (model) => {
          const image = face(side);
          return timed(async () => {
            for (const question of QUESTIONS) {
              await model.clearCaches();
              await model.choose({ image, ...question });
            }
          });
        },
      },
    ],
    gaps: [
      { name: 'longest gap of an answer, alone', unit: 'ms', run: gap(async () => {}) },
      {
        name: 'longest gap beside 4 new faces of one tile',
        unit: 'ms',
        run: gap(asks(4, 'off')),
      },
      {
        name: 'longest gap beside a new picture of many tiles',
        unit: 'ms',
        run: gap(asks(1, undefined)),
      },
    ],
  };
  return values.parts.split(',').flatMap((part) => parts[part] ?? []);
}

const Built = await importBuilt();
const dtype = values.dtype === 'fp32' ? 'fp32' : 'bf16';
const load = { dtype, device: 'cpu', threads: Number(values.threads) } as const;
const models = [await Built.load(values.model, load)];
models.push(await Built.load(values.model, { ...load, deterministic: true }));
const side = models[0]?.config.tileSize ?? 448;
const rows = createRows(face(side), side);
const before = readLoad();
const results = [];
for (const { name, unit, run } of rows) {
  const taken: [number[], number[]] = [[], []];
  for (let round = 0; round <= Number(values.rounds); round++) {
    // A B, then B A: a drift of the machine hits both alike.
    for (const which of round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
      const model = models[which];
      if (model === undefined) throw new Error('two models are loaded');
      const value = await run(model);
      if (round > 0) taken[which].push(value);
    }
  }
  const [plain, deterministic] = [median(taken[0]), median(taken[1])];
  const range = (some: readonly number[]): string =>
    `${Math.min(...some).toFixed(1)} to ${Math.max(...some).toFixed(1)}`;
  results.push({ name, unit, plain: taken[0], deterministic: taken[1] });
  console.log(
    `${name.padEnd(52)} ${plain.toFixed(1).padStart(9)} ${unit} (${range(taken[0])})   ` +
      `deterministic ${deterministic.toFixed(1).padStart(9)} (${range(taken[1])})`,
  );
}
const after = readLoad();
const stolenShare = (after.stolen - before.stolen) / Math.max(1, after.total - before.total);
for (const model of models) await model.dispose();
const report = {
  environment: await describeEnvironment(),
  arguments: reportArguments(values),
  ...{ stolenShare, results },
};
if (values.out !== undefined) writeFileSync(values.out, `${JSON.stringify(report, null, 2)}\n`);
