/** `facellm evaluate` with the tiny checkpoints over shipped questions: whole, killed, shared, refused. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import sharp from 'sharp';

import { extractOfficial } from '../../lib/evaluation/facexbench/extract-official.js';
import type { Score } from '../../lib/evaluation/facexbench/scores.js';
import type { ItemOutcome } from '../../lib/evaluation/types.js';
import { evaluate } from '../../lib/index.js';
import { aggregate, makeFolder, temporaryFolder } from '../support/facexbench-folder.js';
import * as golden from '../support/golden.js';

const ROOT = join(import.meta.dirname, '..', '..');
const MAIN = join(ROOT, 'dist', 'cli', 'main.js');
const MODEL = join(golden.GOLDEN, 'ckpt-300m');
const ADAPTER = join(golden.GOLDEN, 'train-lora', 'adapter_final');

/** The other tiny checkpoint with the tokenizer that it lacks. */
function secondModel(): string {
  const folder = temporaryFolder();
  for (const source of [MODEL, join(golden.GOLDEN, 'ckpt-6b')]) {
    cpSync(source, folder, { recursive: true });
    // One file there, four here.
    rmSync(join(folder, 'model.safetensors'), { force: true });
  }
  return folder;
}

function flags(data: string, output: string): string[] {
  return [
    ...['evaluate', '--benchmark', 'facexbench', '--data', data, '--output', output],
    ...['--model', MODEL, '--dtype', 'fp32', '--tiles', 'off', '--threads', '1'],
    ...['--max-new-tokens', '16', '--batch-size', '5'],
  ];
}

function facellm(args: readonly string[], env: Record<string, string> = {}) {
  return spawnSync(process.execPath, [MAIN, ...args], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
}

/** Starts the command and waits until its journal about the base model has `lines` outcomes. */
async function startUntil(args: readonly string[], output: string, lines: number) {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: 'ignore' });
  const journal = join(output, 'rank-0', 'base.jsonl');
  while (child.exitCode === null) {
    const text = existsSync(journal) ? readFileSync(journal, 'utf8') : '';
    if ((text.match(/"type":"outcome"/g) ?? []).length >= lines) break;
    await sleep(5);
  }
  return child;
}

function ended(child: ChildProcess): Promise<number | NodeJS.Signals | null> {
  return new Promise((resolve) => {
    if (child.exitCode !== null) resolve(child.exitCode);
    child.once('exit', (code, signal) => resolve(code ?? signal));
  });
}

function outcomes(output: string, model = 'base'): ItemOutcome[] {
  return readFileSync(join(output, `questions-${model}.jsonl`), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => ({ ...(JSON.parse(line) as ItemOutcome), milliseconds: 0 }));
}

describe('evaluate', () => {
  let data: string;
  let whole: string;
  before(async () => {
    data = await makeFolder();
    whole = temporaryFolder();
  });

  it('scores the model without and with an adapter in one command; the official aggregation gives the same numbers', () => {
    const run = facellm([...flags(data, whole), '--adapter', ADAPTER, '--json']);
    assert.equal(run.status, 0, run.stderr);
    const result = JSON.parse(run.stdout) as Record<string, unknown>;
    const keys = ['output', 'questions', 'missing', 'failures', 'summary'];
    assert.deepEqual(Object.keys(result), keys);
    assert.deepEqual([result['questions'], result['missing'], result['failures']], [24, 0, 0]);
    assert.match(run.stderr, /base: 24\/24 \(100\.0 %\)/);
    assert.match(run.stderr, /tuned: 24\/24/);
    const { scores } = JSON.parse(
      readFileSync(join(whole, 'report', 'facexbench.json'), 'utf8'),
    ) as {
      readonly scores: readonly Score[];
    };
    for (const model of ['base', 'tuned']) {
      const counts = aggregate(join(whole, 'report', 'predictions', model), (reply, options) => {
        const index = extractOfficial(reply, options);
        return index === undefined ? undefined : String.fromCharCode(65 + index);
      });
      for (const { group, correct, total } of scores.filter(
        (s) => s.model === model && s.reading === 'official' && s.table !== 'fairface',
      )) {
        assert.deepEqual(counts.get(group), { correct, total }, `${model}: ${group}`);
      }
    }
    const text = readFileSync(join(whole, 'report', 'facexbench.md'), 'utf8');
    assert.match(text, /partial set/);
    assert.match(text, /McNemar/);
    const record = JSON.parse(readFileSync(join(whole, 'run.json'), 'utf8')) as {
      models: { settings: Record<string, unknown> }[];
      sources: { path: string; sha256: string }[];
    };
    assert.match(JSON.stringify(record.models[1]?.settings['model']), /[0-9a-f]{64}/);
    assert.equal(record.models[0]?.settings['seed'], 0);
    assert.ok(record.sources.some(({ path }) => path.endsWith('question_116_1.png')));
    const base = outcomes(whole);
    for (const [i, outcome] of outcomes(whole, 'tuned').entries()) {
      assert.notDeepEqual(outcome.probabilities, base[i]?.probabilities, 'the adapter works');
      assert.equal(outcome.promptHash, base[i]?.promptHash);
      assert.match(outcome.promptHash, /^[0-9a-f]{64}$/);
      assert.ok(outcome.promptTokens > 0 && outcome.imageTokens > 0);
      const sum = (outcome.probabilities ?? []).reduce((total, one) => total + one, 0);
      assert.ok(Math.abs(sum - 1) < 1e-9);
    }
  });

  it('killed twice without warning, it goes on to the very same answers', async () => {
    const output = temporaryFolder();
    for (const lines of [1, 6]) {
      const child = await startUntil(flags(data, output), output, lines);
      child.kill('SIGKILL');
      assert.equal(await ended(child), 'SIGKILL', 'still at work when killed');
    }
    assert.ok(!existsSync(join(output, 'summary.json')));
    const run = facellm(flags(data, output));
    assert.equal(run.status, 0, run.stderr);
    assert.match(run.stderr, /of them answered before/);
    assert.deepEqual(outcomes(output), outcomes(whole));
  });

  it('the first Ctrl-C ends with 130 and keeps what is answered', async () => {
    const output = temporaryFolder();
    const child = await startUntil(flags(data, output), output, 1);
    child.kill('SIGINT');
    assert.equal(await ended(child), 130);
    const run = facellm(flags(data, output));
    assert.equal(run.status, 0, run.stderr);
    assert.match(run.stderr, /of them answered before/);
    assert.deepEqual(outcomes(output), outcomes(whole));
  });

  it('two processes at a time share the questions and leave what one would have', async () => {
    const output = temporaryFolder();
    const children = [0, 1].map((rank) =>
      spawn(process.execPath, [MAIN, ...flags(data, output)], {
        stdio: 'ignore',
        env: { ...process.env, RANK: String(rank), WORLD_SIZE: '2' },
      }),
    );
    assert.deepEqual(await Promise.all(children.map(ended)), [0, 0]);
    assert.ok(existsSync(join(output, 'rank-1', 'base.jsonl')));
    assert.deepEqual(outcomes(output), outcomes(whole));
    assert.ok(existsSync(join(output, 'report', 'facexbench.md')));
  });

  it('a broken picture fails one question, with its reason, and the command with 1', async () => {
    const broken = await makeFolder();
    writeFileSync(join(broken, 'images', 'wmca_single_mcq', 'question_2.png'), 'no picture');
    const output = temporaryFolder();
    const run = facellm([...flags(broken, output), '--limit', '2', '--reading', 'probability']);
    assert.equal(run.status, 1, run.stderr);
    assert.match(run.stdout, /1 question\(s\) could not be asked/);
    const faulty = outcomes(output).filter(({ failure }) => failure !== undefined);
    assert.deepEqual(
      faulty.map(({ id, failure }) => [id, failure?.code]),
      [['wmca_single_mcq/2', 'FACELLM_IMAGE_INVALID']],
    );
  });

  it('a second checkpoint is compared as well, by probabilities alone', () => {
    const output = temporaryFolder();
    const run = facellm([
      ...flags(data, output),
      ...['--tuned', secondModel(), '--reading', 'probability', '--limit', '1', '--json'],
    ]);
    assert.equal(run.status, 0, run.stderr);
    const [base, tuned] = ['base', 'tuned'].map((name) => outcomes(output, name));
    assert.equal(base?.length, 8);
    assert.deepEqual(
      tuned?.map(({ promptHash }) => promptHash),
      base.map(({ promptHash }) => promptHash),
      'asked in the same way',
    );
    assert.notDeepEqual(tuned?.[0]?.probabilities, base[0]?.probabilities);
    assert.ok(base.every(({ text }) => text === undefined));
  });

  it('attributes and pairs run the same way, from a folder with labels', async () => {
    const faces = temporaryFolder();
    const rows = ['file,gender,race,identity'];
    for (let i = 0; i < 6; i++) {
      const background = { r: 40 * i, g: 255 - 30 * i, b: 90 };
      await sharp({ create: { width: 24, height: 24, channels: 3, background } })
        .png()
        .toFile(join(faces, `${i}.png`));
      const [gender, race] = [i % 2 ? 'Male' : 'Female', i < 3 ? 'White' : 'Black'];
      rows.push(`${i}.png,${gender},${race},person-${Math.floor(i / 2)}`);
    }
    writeFileSync(join(faces, 'labels.csv'), `${rows.join('\n')}\n`);
    for (const [benchmark, questions, own] of [
      ['attributes', 12, ['--attributes', 'gender', 'race', '--adapter', ADAPTER]],
      ['pairs', undefined, ['--where', 'race=White', 'race=Black']],
    ] as const) {
      const output = temporaryFolder();
      const args = flags(faces, output).map((flag) => (flag === 'facexbench' ? benchmark : flag));
      const run = facellm([...args, ...own, '--json']);
      assert.equal(run.status, 0, run.stderr);
      const result = JSON.parse(run.stdout) as {
        questions: number;
        summary: { benchmark: string; files: string[] };
      };
      if (questions !== undefined) assert.equal(result.questions, questions);
      assert.equal(outcomes(output).length, result.questions);
      assert.ok(result.summary.files.length > 0);
      for (const file of result.summary.files) assert.ok(existsSync(join(output, 'report', file)));
    }
    const wrong = facellm([
      ...flags(data, faces),
      ...['--pairs', 'x', '--where', 'race', '--split', 'test'],
    ]);
    assert.equal(wrong.status, 2);
    assert.match(wrong.stderr, /--pairs: not of --benchmark facexbench/);
    assert.match(wrong.stderr, /--where race: expected NAME=VALUE/);
  });

  it('asks all models as the one with a record was trained, and ends with the main table', async () => {
    const trained = temporaryFolder();
    cpSync(ADAPTER, trained, { recursive: true });
    const record = { template: 'training', system: '', tiles: 'off', limitsImageArea: true };
    writeFileSync(join(trained, 'facellm_training.json'), JSON.stringify(record));
    const faces = temporaryFolder();
    const background = { r: 200, g: 90, b: 90 };
    for (const i of [0, 1]) {
      await sharp({ create: { width: 24, height: 24, channels: 3, background } })
        .png()
        .toFile(join(faces, `${i}.png`));
    }
    writeFileSync(join(faces, 'labels.csv'), 'file,gender\n0.png,Male\n1.png,Female\n');
    const output = temporaryFolder();
    const own = [
      '--benchmark',
      'attributes',
      '--data',
      faces,
      '--output',
      output,
      '--model',
      MODEL,
    ];
    const rest = [
      '--adapter',
      trained,
      '--dtype',
      'fp32',
      '--threads',
      '1',
      '--max-new-tokens',
      '4',
    ];
    const run = facellm(['evaluate', ...own, ...rest]);
    assert.equal(run.status, 0, run.stderr);
    assert.match(
      run.stderr,
      /asked with template training, system "", tiling off, .*as tuned was trained/,
    );
    assert.doesNotMatch(run.stderr, /other settings/);
    const { models, asked } = JSON.parse(readFileSync(join(output, 'run.json'), 'utf8')) as {
      models: { settings: { prompt: Record<string, unknown> } }[];
      asked: { recordedBy: string[] };
    };
    assert.deepEqual(asked.recordedBy, ['tuned']);
    for (const { settings } of models) {
      assert.deepEqual(settings.prompt, {
        ...{ template: 'training', system: '', tiling: 'off', limitsImageArea: true },
        ...{ applyExif: false, faces: 'off', dtype: 'fp32' },
      });
    }
    const [base, tuned] = ['base', 'tuned'].map((name) => outcomes(output, name));
    assert.deepEqual(
      tuned?.map(({ promptHash }) => promptHash),
      base?.map(({ promptHash }) => promptHash),
    );
    assert.match(run.stdout, /attribute +read from +model +n +accuracy +balanced accuracy +unread/);
    const figure = String.raw`[01]\.\d{3} \([01]\.\d{3}–[01]\.\d{3}\)`;
    for (const reading of ['choice probabilities', 'generated text']) {
      for (const model of ['base', 'tuned']) {
        assert.match(
          run.stdout,
          new RegExp(`gender +${reading} +${model} +2 +${figure} +${figure} +[0-2]\n`),
        );
      }
    }
  });

  it('other settings in the same folder, absent data and wrong options are refused before any work', async () => {
    const other = facellm([...flags(data, whole), '--batch-size', '3', '--setting', 'in-context']);
    assert.equal(other.status, 1);
    assert.match(other.stderr, /batchSize: 3 now, 5 then/);
    assert.match(other.stderr, /benchmarkOptions\.setting: "in-context" now, "zero-shot" then/);
    const wrong = {
      benchmark: 'facexbench' as const,
      data,
      model: MODEL,
      output: '',
      batchSize: 0,
      seed: -1,
      adapter: ADAPTER,
      tuned: MODEL,
    };
    assert.throws(
      () => evaluate(wrong),
      (error: { code?: string; details?: string[] }) => {
        assert.equal(error.code, 'FACELLM_INVALID_ARGUMENT');
        assert.equal(error.details?.length, 4);
        return true;
      },
    );
    const output = temporaryFolder();
    const mended = { output, batchSize: 1, seed: 0, tuned: undefined };
    const absent = evaluate({ ...wrong, ...mended, data: output });
    await assert.rejects(async () => await absent, { code: 'FACELLM_DATA_NOT_FOUND' });
  });
});
