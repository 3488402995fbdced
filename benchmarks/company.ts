/**
 * `npm run bench:company -- --model DIR [--dtype bf16] [--rounds 3] [--out FILE]`: what requests gain and cost together.
 * Answers at once; eight questions about one face in one call, in eight, and one alone; how long an answering row waits
 * while others bring pictures; the first token of a question about one tile, alone and beside a picture of many; answers of as many
 * stacks of adapters, made at random here; and the same in deterministic mode, whose model takes turns with the other in every
 * round. Medians of rounds, after one that is not counted. Needs what `npm run build` makes.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';

import { writeAdapter } from '../test/support/adapters.js';
import type { Adapter, FaceLlm, RawImage } from '../lib/index.js';
import { importBuilt } from './harness/built.js';
import { readLoad, writeReport } from './harness/environment.js';
import { median } from './harness/statistics.js';
import { byTurns } from './harness/turns.js';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: join(import.meta.dirname, '..', 'golden', 'ckpt-300m') },
    dtype: { type: 'string', default: 'bf16' },
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '3' },
    parts: { type: 'string', default: 'rows,choose,gaps,first,stacks' },
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

/**
 * Tokens a second of so many answers at once, first tokens not counted; all ask about one picture that is known.
 *
 * @param stacks that the answers take in turn; none: the base
 */
async function tokensPerSecond(
  model: FaceLlm,
  image: RawImage,
  rows: number,
  stacks: readonly Adapter[] = [],
): Promise<number> {
  const answers = await Promise.all(
    Array.from({ length: rows }, (_, row) =>
      model
        .ask({
          adapters: stacks[row % Math.max(1, stacks.length)] ?? null,
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

/** Milliseconds to the first token of a question about a new face of one tile. */
async function firstToken(model: FaceLlm, side: number): Promise<number> {
  const started = performance.now();
  const asked = { image: face(side), question: words(), tiling: 'off', maxNewTokens: 2 } as const;
  for await (const { tokens } of model.ask({ ...asked, doSample: false }).pieces()) {
    if (tokens.length > 0) break;
  }
  return performance.now() - started;
}

/** The same while a picture of many tiles is seen, by somebody who asked a little earlier. */
async function firstTokenBeside(model: FaceLlm, side: number): Promise<number> {
  const many = { image: face(4 * side), question: words(), maxNewTokens: 2 };
  const beside = model.ask(many).result();
  while ((await model.stats()).runningRows === 0) await sleep(1);
  const took = await firstToken(model, side);
  await beside;
  return took;
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** As many as there may be in one step. */
const STACKS = 8;

/** Adapters of rank 8 in every linear layer, by model. */
async function loadStacks(models: readonly FaceLlm[]): Promise<Map<FaceLlm, Adapter[]>> {
  const root = mkdtempSync(join(tmpdir(), 'facellm-stacks-'));
  const stacks = new Map<FaceLlm, Adapter[]>(models.map((model) => [model, []]));
  try {
    for (let i = 0; i < STACKS; i++) {
      const kind = { seed: i + 1, b: 0.01, rank: 8, alpha: 16 };
      const folder = await writeAdapter(values.model, join(root, `stack${i}`), kind);
      for (const model of models) stacks.get(model)?.push(await model.loadAdapter(folder));
    }
  } finally {
    rmSync(root, { recursive: true });
  }
  return stacks;
}

interface Row {
  readonly name: string;
  readonly unit: string;
  readonly run: (model: FaceLlm) => Promise<number>;
}

/** @param image known to the model, of side `side` */
function createRows(
  image: RawImage,
  side: number,
  stacks: ReadonlyMap<FaceLlm, readonly Adapter[]>,
): Row[] {
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
    first: [
      {
        name: 'first token of a new face of one tile, alone',
        unit: 'ms',
        run: (model) => firstToken(model, side),
      },
      {
        name: 'the same beside a new picture of many tiles',
        unit: 'ms',
        run: (model) => firstTokenBeside(model, side),
      },
    ],
    stacks: [0, 1, 4, STACKS].map((count) => ({
      name: `${STACKS} answers at once, ${count} stacks of adapters`,
      unit: 'tokens/s',
      run: (model) =>
        tokensPerSecond(model, image, STACKS, stacks.get(model)?.slice(0, count) ?? []),
    })),
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
const stacks = values.parts.split(',').includes('stacks')
  ? await loadStacks(models)
  : new Map<FaceLlm, Adapter[]>();
const rows = createRows(face(side), side, stacks);
const before = readLoad();
const results = [];
for (const { name, unit, run } of rows) {
  // The first round is not counted.
  const taken = await byTurns(models, Number(values.rounds) + 1, run);
  const [plain = [], deterministic = []] = models.map((model) => taken.get(model)?.slice(1));
  const range = (some: readonly number[]): string =>
    `${Math.min(...some).toFixed(1)} to ${Math.max(...some).toFixed(1)}`;
  results.push({ name, unit, plain, deterministic });
  console.log(
    `${name.padEnd(52)} ${median(plain).toFixed(1).padStart(9)} ${unit} (${range(plain)})   ` +
      `deterministic ${median(deterministic).toFixed(1).padStart(9)} (${range(deterministic)})`,
  );
}
const after = readLoad();
const stolenShare = (after.stolen - before.stolen) / Math.max(1, after.total - before.total);
for (const model of models) await model.dispose();
await writeReport(values, { stolenShare, results });
