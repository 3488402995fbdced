/** The command line's options of answers, of memory and of several questions: what they do, and refusals before loading. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type Answer, FaceLlm, type Plan, type Sampling } from '../../lib/index.js';
import * as golden from '../support/golden.js';

const ROOT = join(import.meta.dirname, '..', '..');
const MAIN = join(ROOT, 'dist', 'cli', 'main.js');
const CHECKPOINT = join(golden.GOLDEN, 'ckpt-300m');
const MODEL = ['--model', CHECKPOINT, '--dtype', 'fp32', '--device', golden.TEST_DEVICE];
const PHOTO = join(golden.GOLDEN, 'infer-300m', 'images', 'face_square_0.png');

function facellm(...args: string[]) {
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8', cwd: ROOT });
}

function json(...args: string[]): unknown {
  const { stdout, stderr, status } = facellm(...args, '--json');
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout);
}

describe('options of the command line', () => {
  let folder: string;
  let model: FaceLlm;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-cli-options-'));
    model = await FaceLlm.load(CHECKPOINT, { dtype: 'fp32', device: golden.TEST_DEVICE });
  });
  after(async () => {
    await model.dispose();
    rmSync(folder, { recursive: true });
  });

  const ASKED = ['ask', PHOTO, 'Who is this?', ...MODEL, '--max-new-tokens', '8'];

  it('ask: every option of drawing reaches the model', async () => {
    const { sampling, tokenIds } = json(
      ...[...ASKED, '--seed', '3', '--temperature', '1.5', '--top-k', '30', '--top-p', '0.9'],
      ...['--min-p', '0.01', '--repetition-penalty', '1.1', '--frequency-penalty', '0.5'],
      ...['--presence-penalty', '-0.5', '--logit-bias', '5=-3', '6=2.5', '--min-tokens', '4'],
    ) as { sampling: Sampling; tokenIds: number[] };
    const options = {
      ...{ seed: 3, temperature: 1.5, topK: 30, topP: 0.9, minP: 0.01, repetitionPenalty: 1.1 },
      ...{ frequencyPenalty: 0.5, presencePenalty: -0.5, minTokens: 4, maxNewTokens: 8 },
      logitBias: { 5: -3, 6: 2.5 },
    };
    assert.deepEqual(sampling, { ...options, doSample: true });
    const same = await model.ask({ image: PHOTO, question: 'Who is this?', ...options }).result();
    assert.deepEqual(tokenIds, same.tokenIds);
  });

  it('ask --n: all answers, in JSON and as texts; log-probabilities where they are asked for', async () => {
    const drawn = [...ASKED, '--temperature', '2', '--top-k', '0', '--seed', '5', '--n', '3'];
    const options = { maxNewTokens: 8, temperature: 2, topK: 0, seed: 5, n: 3 };
    const { answers } = await model
      .ask({ image: PHOTO, question: 'Who is this?', ...options })
      .result();
    const told = json(...[...drawn, '--top-log-probs', '2', '--log-probs', 'processed']) as {
      answers: (Omit<Answer, 'topLogProbs'> & { topLogProbs: { token: string }[][] })[];
    };
    assert.deepEqual(
      told.answers.map(({ tokenIds }) => tokenIds),
      answers.map(({ tokenIds }) => tokenIds),
    );
    for (const { tokenIds, logProbs, topLogProbs } of told.answers) {
      assert.equal(logProbs.length, tokenIds.length);
      assert.ok(topLogProbs.every((top) => top.length === 2 && typeof top[0]?.token === 'string'));
    }
    const { stdout, status } = facellm(...drawn);
    assert.equal(status, 0);
    assert.equal(
      stdout,
      answers.map(({ text }, i) => `answer ${i + 1} of 3:\n${text}\n`).join('\n'),
    );
  });

  it('limits of the engine: what fits is answered as before, what does not is refused with the numbers', () => {
    const limits = ['--max-context', '512', '--max-rows', '2', '--kv-memory', '64MiB'];
    const plain = json(...ASKED) as { tokenIds: number[] };
    // A mode of the CPU's.
    const mode = golden.TEST_DEVICE === 'cpu' ? ['--deterministic'] : [];
    const limited = json(...ASKED, ...limits, ...mode) as { tokenIds: number[] };
    assert.deepEqual(limited.tokenIds, plain.tokenIds);
    for (const [args, message] of [
      [['--kv-memory', '1000'], /kvMemory: 1000 bytes hold 0 tokens, a request of \d+ takes \d+/],
      [['--max-context', '8'], /the prompt has \d+ tokens.* limit is 8/],
    ] as const) {
      const { status, stdout, stderr } = facellm(...ASKED, ...args);
      assert.ok(status === 1 || status === 2, stderr);
      assert.equal(stdout, '');
      assert.match(stderr, message);
    }
  });

  it('plan: what the model takes and has room for, and pictures that do not fit', () => {
    const plan = json('plan', PHOTO, PHOTO, ...MODEL, '--max-rows', '5') as Plan;
    assert.deepEqual([plan.engine.maxRows, plan.requestsAtOnce], [5, 5]);
    const limits = ['--kv-memory', '1MiB', '--max-context', '99', '--max-rows', '16'];
    const { stdout } = facellm('plan', PHOTO, ...MODEL, ...limits);
    assert.match(
      stdout,
      /memory of the model on (cpu|cuda), fp32: [\d.]+ \wiB of weights, 1\.0 MiB for keys/,
    );
    assert.match(stdout, /32 blocks of 64 tokens, up to 16 answers at a time, 99 tokens a request/);
    assert.match(stdout, /room for 16 questions about the pictures at a time/);
    const small = facellm('plan', PHOTO, PHOTO, ...MODEL, '--max-context', '12');
    assert.match(small.stdout, /the pictures do not fit: 12 tokens of 12; use fewer tiles/);
    const none = facellm('plan', PHOTO, ...MODEL, '--kv-memory', '5');
    assert.equal(none.status, 2);
    assert.match(none.stderr, /kvMemory: 5 bytes hold 0 tokens/);
  });

  it('ask refuses before it loads, all at once', () => {
    const wrong = [
      '--frequency-penalty',
      '3',
      '--top-p',
      '7',
      '--n',
      '65',
      '--top-log-probs',
      '21',
    ];
    // No such model: what is wrong with the flags is said first.
    const { status, stderr } = facellm('ask', 'Hi?', '--model', join(folder, 'none'), ...wrong);
    assert.equal(status, 2);
    for (const name of ['frequencyPenalty', 'topP', 'n', 'topLogProbs']) {
      assert.match(stderr, new RegExp(`- ${name}: expected`));
    }
    const top = facellm('ask', 'Hi?', '--model', join(folder, 'none'), '--top-log-probs', '2');
    assert.equal(top.status, 2);
    assert.match(top.stderr, /give --json too/);
  });

  it('choose --items: every question as alone, as a table and as JSON', async () => {
    const items = [
      { id: 'smile', question: 'Smiling?', choices: ['Yes', 'No'] },
      { question: 'How old?', choices: ['young', { text: 'old', label: 'above 60' }] },
    ];
    const file = join(folder, 'items.json');
    writeFileSync(file, JSON.stringify(items));
    const asked = ['choose', PHOTO, ...MODEL, '--items', file];
    const { results } = json(...asked) as { results: { id: string; best: string; mass: number }[] };
    const own = await model.choose({ image: PHOTO, items });
    assert.deepEqual(
      results.map(({ id, best }) => [id, best]),
      own.map(({ id, best }) => [id, best.text]),
    );
    results.forEach(({ mass }, i) => assert.ok(Math.abs(mass - (own[i]?.mass ?? 2)) < 1e-4));
    const { stdout } = facellm(...asked);
    assert.match(stdout, /^smile: Smiling\?\nprobability .*choice\n/);
    assert.match(stdout, /\n\n1: How old\?\nprobability[^]* above 60 \(old\)\n/);
    assert.equal([...stdout.matchAll(/the list covers/g)].length, 2);
  });

  it('choose refuses what is half a question, no file, no JSON and wrong items, before it loads', () => {
    const write = (name: string, text: string): string => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    const one = { question: 'Who?', choices: ['A', 'B'] };
    const many = write('many.json', JSON.stringify(Array.from({ length: 65 }, () => one)));
    const bad = write('bad.json', JSON.stringify([one, { question: '', choices: ['A'], x: 1 }]));
    const twice = [
      { ...one, id: 'a' },
      { ...one, id: 'a' },
    ];
    for (const [args, status, message] of [
      [['Who?'], 2, /expected a question with --choices, or --items FILE alone/],
      [['Who?', '--items', many], 2, /or --items FILE alone/],
      [['--items', join(folder, 'absent.json')], 1, /absent\.json cannot be read \(ENOENT\)/],
      [['--items', write('text.json', '[{')], 1, /text\.json is not JSON at /],
      [['--items', many], 2, /items: expected a list of 1\.\.64 questions.*received 65/],
      [['--items', bad], 2, /items\[1\]\.question: [^]*items\[1\]\.choices: [^]*items\[1\]\.x: /],
      [
        ['--items', write('twice.json', JSON.stringify(twice))],
        2,
        /items\[1\]\.id: "a" is that of/,
      ],
    ] as const) {
      const run = facellm('choose', PHOTO, ...args, '--model', join(folder, 'none'));
      assert.equal(run.status, status, run.stderr);
      assert.equal(run.stdout, '');
      assert.match(run.stderr, message);
    }
  });
});
