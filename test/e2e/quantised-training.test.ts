/** Training upon weights in 4 bits, its plan, and merging into quantised checkpoints, by the command line. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { BASE, DATASET } from '../support/training.js';
import { writeQuantisedCheckpoint } from '../support/quantised-checkpoint.js';

const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'main.js');

const PHOTO = join(DATASET, '..', '1_0.png');

describe('quantised training by the command line', function () {
  this.timeout(180_000);
  let root: string;
  let run: string;
  before(() => (root = mkdtempSync(join(tmpdir(), 'facellm-qlora-cli-'))));
  after(() => rmSync(root, { recursive: true, force: true }));

  function facellm(...args: string[]): { status: number | null; stdout: string; stderr: string } {
    const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
      encoding: 'utf8',
    });
    return { status, stdout, stderr };
  }
  const settings = [
    'dtype=fp32',
    'batchSize=2',
    'accumulation=1',
    'maxSteps=2',
    'featureCacheMegabytes=1',
  ];
  const training = (output: string, ...set: string[]): string[] => [
    ...['train', '--recipe', 'facellm1b', '--model', BASE, '--data', DATASET, '--output', output],
    ...['--device', 'cpu', '--threads', '1', '--set', ...settings, ...set],
  ];

  it('trains upon nf4, and resumes with nothing else', () => {
    run = join(root, 'run');
    const { status, stdout, stderr } = facellm(...training(run, 'base=nf4'));
    assert.equal(status, 0, stderr);
    assert.match(stdout, /trained 2 updates/);
    const { base } = JSON.parse(readFileSync(join(run, 'facellm_training.json'), 'utf8')) as {
      base: { form: string };
    };
    assert.equal(base.form, 'nf4');
    const other = facellm(...training(run, 'base=int8'));
    assert.equal(other.status, 1);
    assert.match(other.stderr, /recipe\.base/);
  });

  it('refuses what cannot be trained so, all at once', () => {
    const { status, stderr } = facellm(
      ...training(
        join(root, 'none'),
        'base=nf4',
        'lora=null',
        'parts=["text"]',
        'shardsWeights=true',
      ),
    );
    assert.equal(status, 2);
    assert.match(stderr, /recipe\.base: expected lora/);
    assert.match(stderr, /recipe\.base: expected stored with shardsWeights/);
    const unknown = facellm(...training(join(root, 'none'), 'base=int3'));
    assert.match(unknown.stderr, /recipe\.base/);
    assert.ok(!existsSync(join(root, 'none')));
  });

  it('answers with the adapter on its own base, and is told of another', () => {
    const ask = (...weights: string[]) =>
      facellm(
        ...[
          'choose',
          PHOTO,
          'Is it?',
          '--choices',
          'Yes',
          'No',
          '--model',
          BASE,
          '--adapter',
          run,
          '--device',
          'cpu',
          '--dtype',
          'fp32',
        ],
        ...weights,
      );
    const own = ask('--weights', 'nf4');
    assert.equal(own.status, 0, own.stderr);
    assert.doesNotMatch(own.stderr, /another base/);
    assert.match(ask().stderr, /trained upon another base.*\n.*form of the base: trained upon nf4/);
  });

  it('tells what contradicts itself before a model is fetched, and whatever else is missing', () => {
    const { status, stderr } = spawnSync(
      process.execPath,
      [
        ...[MAIN, 'train', '--recipe', 'facellm1b', '--model', 'none/such', '--download'],
        ...['--data', join(root, 'no.json'), '--output', join(root, 'none')],
        ...['--set', 'base=nf4', 'shardsWeights=true', 'patience=2'],
      ],
      // Where nobody answers.
      { encoding: 'utf8', env: { ...process.env, HF_ENDPOINT: 'http://127.0.0.1:9' } },
    );
    assert.equal(status, 2, stderr);
    assert.match(stderr, /recipe\.patience: [^]*recipe\.base: expected stored with shardsWeights/);
  });

  it('plans the memory of a run', () => {
    const plan = (...set: string[]) =>
      facellm(
        'plan',
        '--recipe',
        'facellm1b',
        '--model',
        BASE,
        ...(set.length > 0 ? ['--set', ...set] : []),
      );
    assert.match(plan('base=nf4').stdout, /text layers, nf4[^\n]*\n[\s\S]*in all/);
    const parsed = (...set: string[]) =>
      JSON.parse(
        facellm('plan', '--json', '--recipe', 'facellm1b', '--model', BASE, '--set', ...set).stdout,
      ) as { textWeightBytes: number; scratchBytes: number };
    assert.ok(parsed('base=nf4').textWeightBytes < parsed('base=stored').textWeightBytes / 3);
    assert.equal(parsed('base=stored').scratchBytes, 0);
    assert.equal(facellm('plan', '--model', BASE).status, 2);
    // Nothing that was asked for is left unread.
    const refused = (named: RegExp, ...args: string[]): void => {
      const { status, stderr, stdout } = facellm('plan', '--model', BASE, ...args);
      assert.deepEqual([status, stdout], [2, '']);
      assert.match(stderr, named);
    };
    refused(
      /smile\.png: pictures are not planned with --recipe/,
      'smile.png',
      '--recipe',
      'facellm1b',
    );
    refused(
      /--set: only with --recipe\n.*--sample-tokens: only with --recipe/,
      ...['smile.png', '--set', 'base=nf4'],
      ...['--sample-tokens', '64'],
    );
    refused(/--sample-tokens: only with/, 'smile.png', '--sample-tokens', '64');
    refused(/--answer-tokens: only with/, 'smile.png', '--answer-tokens', '64');
  });

  it('an adapter goes into a quantised checkpoint only where that is asked for, and into no AWQ of other weights', () => {
    const int8 = join(root, 'int8');
    writeQuantisedCheckpoint(BASE, int8, 'int8');
    const merge = (model: string, output: string, ...more: string[]) =>
      facellm('merge', '--model', model, '--adapter', run, '--output', join(root, output), ...more);
    const refused = merge(int8, 'merged');
    assert.equal(refused.status, 2);
    assert.match(refused.stderr, /--onto-quantised/);
    assert.ok(!existsSync(join(root, 'merged')));
    const merged = merge(int8, 'merged', '--onto-quantised');
    assert.equal(merged.status, 0, merged.stderr);
    const awq = join(root, 'awq');
    writeQuantisedCheckpoint(BASE, awq, 'awq');
    const folded = merge(awq, 'other', '--onto-quantised');
    assert.equal(folded.status, 1);
    assert.match(folded.stderr, /AWQ checkpoint's, whose columns are scaled/);
    // Where nothing is recorded nothing can be told.
    const path = join(run, 'facellm_training.json');
    const before = readFileSync(path, 'utf8');
    writeFileSync(path, JSON.stringify({ ...(JSON.parse(before) as object), base: undefined }));
    assert.equal(merge(awq, 'other', '--onto-quantised').status, 0);
    writeFileSync(path, before);
  });
});
