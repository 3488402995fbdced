/**
 * `npm run bench:serve-beside -- (--baseline PYTHON | --llama PACKAGE --gguf FILE) [--model DIR] [--dtype fp32] [--weights int8] [--pairs 5] [--tokens 32] [--out FILE]`: this
 * server beside `transformers serve` (PYTHON has transformers[serving]) on the same checkpoint, or beside llama.cpp (PACKAGE is an installed
 * @fugood/llama.node, FILE the weights of DIR's text model; text alone, Q8_0 beside our int8: its build has slow products in bf16). First the answers: the same greedy ones, and
 * as many tokens in prompts and answers. Then times, row by row, the two by turns, A B B A, one stopped while the other
 * answers; every picture and question of a pair is new, so that nothing is in a cache. Both are asked through HTTP by
 * one client, streamed.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import sharp from 'sharp';

import { readLoad, writeReport } from '../harness/environment.js';
import { bootstrap, median } from '../harness/statistics.js';
import {
  answerOf,
  type Asker,
  facellmAsker,
  llamaAsker,
  type Prompt,
  transformersAsker,
} from './askers.js';
import { type ServerProcess, startFacellm, startLlama, startTransformers } from './servers.js';

const ROOT = join(import.meta.dirname, '..', '..');
const FACES = join(ROOT, 'examples', 'faces', 'congress');

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: join(ROOT, 'golden', 'ckpt-300m') },
    baseline: { type: 'string' },
    llama: { type: 'string' },
    gguf: { type: 'string' },
    dtype: { type: 'string', default: 'fp32' },
    weights: { type: 'string', default: 'stored' },
    threads: { type: 'string', default: '2' },
    pairs: { type: 'string', default: '5' },
    tokens: { type: 'string', default: '32' },
    prompts: { type: 'string', default: '40' },
    rows: { type: 'string', default: '' },
    out: { type: 'string' },
  },
});
const dtype = values.dtype === 'bf16' ? 'bf16' : 'fp32';
const tokens = Number(values.tokens);

interface Peer {
  readonly name: string;
  readonly seesPictures: boolean;
  start(): Promise<ServerProcess>;
  asker(url: string): Asker;
}

function peerOf({ baseline, llama, gguf, model, threads }: typeof values): Peer {
  if (baseline !== undefined) {
    return {
      ...{ name: 'transformers', seesPictures: true },
      start: () => startTransformers(baseline, model, { dtype, threads: Number(threads) }),
      asker: (url) => transformersAsker(url, model),
    };
  }
  if (llama === undefined || gguf === undefined) {
    throw new Error(
      '--baseline: a Python with transformers[serving]; or --llama PACKAGE and --gguf FILE',
    );
  }
  return {
    ...{ name: 'llama', seesPictures: false, asker: llamaAsker },
    start: () => startLlama(llama, gguf, { threads: Number(threads), slots: MOST_AT_ONCE }),
  };
}

const files = readdirSync(FACES)
  .filter((file) => file.endsWith('.jpg'))
  .sort()
  .map((file) => readFileSync(join(FACES, file)));
let made = 0;
/** A portrait that no server has seen: each a shade of its own. PNG, so that both decode the same pixels. */
async function newFace(width?: number, height?: number): Promise<string> {
  const shade = 1 + (made % 97) / 1000;
  const file = files[made++ % files.length];
  let picture = sharp(file).linear(shade, made % 13);
  if (width !== undefined) picture = picture.resize(width, height);
  return `data:image/png;base64,${(await picture.png().toBuffer()).toString('base64')}`;
}
const words = (count: number): string =>
  Array.from({ length: count }, (_, i) => `${(made * 7919 + i * 104_729) % 9973}`).join(' ');
const text = (count: number): Prompt => ({ text: `Question ${made++}: ${words(count)}?` });
const face = async (): Promise<Prompt> => ({
  ...{ picture: await newFace(), isCut: false },
  text: `Question ${made}: describe this face.`,
});
/** Two by two tiles, and the whole beside them. */
const large = async (): Promise<Prompt> => ({
  ...{ picture: await newFace(side * 2, side * 2), isCut: true },
  text: `Question ${made}: describe this face.`,
});
const { image_size: sides } = (
  JSON.parse(readFileSync(join(values.model, 'config.json'), 'utf8')) as {
    vision_config: { image_size: readonly number[] };
  }
).vision_config;
const side = sides[0] ?? 448;

const MOST_AT_ONCE = 8;
interface Row {
  readonly name: string;
  /** Asked at once. */
  readonly count: number;
  readonly hasPictures?: boolean;
  readonly prompt: () => Prompt | Promise<Prompt>;
}
const ROWS: readonly Row[] = [
  { name: 'a text', count: 1, prompt: () => text(20) },
  { name: 'a face of one tile', count: 1, hasPictures: true, prompt: face },
  { name: 'a picture of five tiles', count: 1, hasPictures: true, prompt: large },
  { name: '8 texts at once', count: MOST_AT_ONCE, prompt: () => text(20) },
  { name: '8 faces at once', count: MOST_AT_ONCE, hasPictures: true, prompt: face },
];

interface Side {
  readonly server: ServerProcess;
  readonly asker: Asker;
}
let running: ServerProcess | undefined;
/** Its turn: the other is stopped. */
function turnOf({ server, asker }: Side): Asker {
  if (running !== server) running?.pause();
  server.resume();
  running = server;
  return asker;
}

interface Measured {
  readonly ms: number;
  /** Median of those asked at once. */
  readonly ttft: number;
  readonly tokensPerSecond: number;
}

async function measure(side: Side, prompts: readonly Prompt[]): Promise<Measured> {
  const asker = turnOf(side);
  const began = performance.now();
  const answers = await Promise.all(prompts.map((prompt) => answerOf(asker, prompt, tokens, true)));
  const ms = performance.now() - began;
  const computed = answers.reduce((sum, answer) => sum + answer.completionTokens, 0);
  return {
    ms,
    ttft: median(answers.map(({ ttft }) => ttft)),
    tokensPerSecond: (1000 * computed) / ms,
  };
}

/** How many of the first characters are the same. */
function agreement(a: string, b: string): number {
  let i = 0;
  while (i < a.length && a[i] === b[i]) i++;
  return i;
}

async function compare(
  ours: Side,
  theirs: Side,
  seesPictures: boolean,
): Promise<Record<string, unknown>> {
  const count = Number(values.prompts);
  const kinds: Record<string, (i: number) => Prompt | Promise<Prompt>> = {
    text: (i) => text(1 + 3 * i),
    ...(seesPictures ? { 'face of one tile': face, 'picture of five tiles': large } : {}),
  };
  const results: Record<string, unknown> = {};
  for (const [kind, prompt] of Object.entries(kinds)) {
    const told = { asked: 0, sameText: 0, samePromptTokens: 0, sameCompletionTokens: 0 };
    const differences: object[] = [];
    for (let i = 0; i < count; i++) {
      const asked = await prompt(i);
      const a = await answerOf(turnOf(ours), asked, tokens, false);
      const b = await answerOf(turnOf(theirs), asked, tokens, false);
      told.asked++;
      told.sameText += Number(a.text === b.text);
      told.samePromptTokens += Number(a.promptTokens === b.promptTokens);
      told.sameCompletionTokens += Number(a.completionTokens === b.completionTokens);
      if (a.text === b.text && a.promptTokens === b.promptTokens) continue;
      const at = agreement(a.text, b.text);
      differences.push({
        promptTokens: [a.promptTokens, b.promptTokens],
        sameCharacters: at,
        from: [a.text.slice(at, at + 24), b.text.slice(at, at + 24)],
      });
    }
    results[kind] = { ...told, differences: differences.slice(0, 5) };
    console.log(kind, JSON.stringify(results[kind]));
  }
  return results;
}

const peer = peerOf(values);
const ours = await startFacellm(values.model, [
  ...['--dtype', dtype, '--weights', values.weights, '--threads', values.threads],
]);
ours.pause();
const theirs = await peer.start().catch(async (error: unknown) => {
  await ours.stop();
  throw error;
});
theirs.pause();
const results: object[] = [];
let same: Record<string, unknown> = {};
try {
  const a = { server: ours, asker: facellmAsker(ours.url) };
  const b = { server: theirs, asker: peer.asker(theirs.url) };
  same = await compare(a, b, peer.seesPictures);
  for (const { name, count, prompt, hasPictures = false } of ROWS) {
    if (!name.includes(values.rows) || (hasPictures && !peer.seesPictures)) continue;
    const fresh = (): Promise<Prompt[]> =>
      Promise.all(Array.from({ length: count }, async () => prompt()));
    for (const side of [a, b]) await measure(side, await fresh());
    const taken: [Measured[], Measured[]] = [[], []];
    const before = readLoad();
    for (let pair = 0; pair < Number(values.pairs); pair++) {
      const prompts = await fresh();
      // A B, then B A: a drift of the machine hits both alike.
      for (const which of pair % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
        taken[which].push(await measure(which === 0 ? a : b, prompts));
      }
    }
    const after = readLoad();
    const ratio = (of: (one: Measured) => number): object =>
      bootstrap(taken[0].map((one, i) => of(taken[1][i] ?? one) / of(one)));
    const told = (some: readonly Measured[]): object => ({
      ttftMs: median(some.map(({ ttft }) => ttft)),
      tokensPerSecond: median(some.map(({ tokensPerSecond }) => tokensPerSecond)),
      ms: median(some.map(({ ms }) => ms)),
    });
    const result = {
      ...{ name, pairs: Number(values.pairs) },
      facellm: told(taken[0]),
      [peer.name]: told(taken[1]),
      // Above 1: facellm is faster.
      ratioOfFirstTokens: ratio(({ ttft }) => ttft),
      ratioOfTimes: ratio(({ ms }) => ms),
      stolenShare: (after.stolen - before.stolen) / Math.max(1, after.total - before.total),
    };
    results.push(result);
    console.log(JSON.stringify(result));
  }
} finally {
  await Promise.all([ours.stop(), theirs.stop()]);
}
await writeReport(values, { same, results });
