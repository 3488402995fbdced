/**
 * `node --import=./test/support/tsx.mjs benchmarks/soak/deterministic.ts --model DIR [--dtype bf16] [--questions 24] [--tokens 12]
 * [--out FILE]`: in deterministic mode, questions about text and pictures of noise under no adapter, either of two, and both, each alone with
 * nothing kept; then all at once, then all at once again with everything cached and in another order: ids, log-probabilities
 * and choices are compared bit for bit. What test/native/determinism_test.cpp does with a tiny model, for one as large as those that
 * people have. Exits with 1 where a bit differs.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';

import type { Adapter, RawImage } from '../../lib/index.js';
import { randomNumbers, writeAdapter } from '../../test/support/adapters.js';
import { importBuilt } from '../harness/built.js';
import { writeReport } from '../harness/environment.js';

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    dtype: { type: 'string', default: 'bf16' },
    questions: { type: 'string', default: '24' },
    tokens: { type: 'string', default: '12' },
    out: { type: 'string' },
  },
});
if (values.model === undefined) throw new Error('--model DIR is needed');
const FaceLlm = await importBuilt();
if (values.dtype !== 'bf16' && values.dtype !== 'fp32') throw new Error('--dtype: bf16 or fp32');
const { dtype } = values;
await using model = await FaceLlm.load(values.model, {
  ...{ dtype, device: 'cpu', deterministic: true },
});

const root = mkdtempSync(join(tmpdir(), 'facellm-deterministic-'));
const adapters: Adapter[] = [];
try {
  for (const seed of [1, 2]) {
    const kind = { seed, b: 0.01, rank: 8, alpha: 16 };
    const folder = await writeAdapter(values.model, join(root, String(seed)), kind);
    adapters.push(await model.loadAdapter(folder));
  }
} finally {
  rmSync(root, { recursive: true });
}
const STACKS = [[], adapters.slice(0, 1), adapters.slice(1), adapters];

const random = randomNumbers(7);
const pixels = (): RawImage => {
  const side = 448;
  const data = Uint8Array.from({ length: side * side * 3 }, () => 128 + 127 * random());
  return { data, width: side, height: side };
};
const FACES = [pixels(), pixels()];
const questions = Array.from({ length: Number(values.questions) }, (_, i) => ({
  // One of the pictures, or none; each of the three under each stack in turn.
  ...(i % 3 < FACES.length ? { image: FACES[i % 3] } : {}),
  question: 'What is to be seen there, and how? '.repeat(1 + (i % 5)) + String(i % 2),
  adapters: STACKS[Math.floor(i / 3) % STACKS.length] ?? [],
}));
type Question = (typeof questions)[number];

const ask = (question: Question) =>
  model.ask({ ...question, maxNewTokens: Number(values.tokens), seed: 5 }).result();
const choose = (question: Question) =>
  model.choose({ ...question, choices: ['Yes', 'No', 'That cannot be seen'] });
const told = (
  { tokenIds, logProbs }: Awaited<ReturnType<typeof ask>>,
  { choices }: Awaited<ReturnType<typeof choose>>,
): string => JSON.stringify([tokenIds, logProbs, choices]);
const both = async (question: Question): Promise<string> =>
  told(...(await Promise.all([ask(question), choose(question)])));

const alone: string[] = [];
const started = performance.now();
for (const question of questions) {
  await model.clearCaches();
  const answered = await ask(question);
  await model.clearCaches();
  alone.push(told(answered, await choose(question)));
}
const seconds = (performance.now() - started) / 1000;
await model.clearCaches();
const together = await Promise.all(questions.map(both));
const cached = await Promise.all(questions.toReversed().map(both));
const differs = (those: readonly string[]): number =>
  alone.filter((own, i) => own !== those[i]).length;
const result = {
  ...{ questions: questions.length, secondsAlone: seconds },
  ...{ togetherDiffer: differs(together), cachedDiffer: differs(cached.toReversed()) },
};
console.log(JSON.stringify(result));
await writeReport(values, { results: [result] });
if (result.togetherDiffer + result.cachedDiffer > 0) process.exitCode = 1;
