/** `compare()` and `facellm compare` on the tiny checkpoint: figures against the models asked one by one, reports, gate, resumption. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { compare, type CompareOptions, FaceLlm } from '../../lib/index.js';
import { divergences } from '../../lib/evaluation/compare/divergence.js';
import type { ItemOutcome } from '../../lib/evaluation/types.js';
import { LabelledFaces } from '../support/labelled-faces.js';
import { CHECKPOINT } from '../support/server.js';

const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'main.js');
const LOAD = { threads: 1, device: 'cpu', deterministic: true } as const;

const outcomes = (output: string, name: string): ItemOutcome[] =>
  readFileSync(join(output, `questions-${name}.jsonl`), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as ItemOutcome);

describe('compare', () => {
  let faces: LabelledFaces;
  let options: CompareOptions;
  before(async () => {
    faces = await LabelledFaces.create(8);
    options = {
      ...LOAD,
      ...{ benchmark: 'attributes', attributes: ['gender'], data: faces.folder, charts: false },
      ...{ model: CHECKPOINT, weights: 'int8', output: faces.output('compared'), maxNewTokens: 4 },
      prompt: { tiling: 'off' },
    };
  });
  after(() => faces.remove());

  const photo = (): string => join(faces.folder, 'val', '3.jpg');

  it('scores along an answer are those that its tokens were chosen from', async () => {
    await using model = await FaceLlm.load(CHECKPOINT, { ...LOAD, dtype: 'fp32' });
    const messages = [
      {
        role: 'user' as const,
        content: [
          { type: 'image' as const, image: photo() },
          { type: 'text' as const, text: 'Who is it?' },
        ],
      },
    ];
    const asked = { tiling: 'off', doSample: false, maxNewTokens: 5 } as const;
    const answer = await model.chat(messages, asked).result();
    const { tokens, vocabulary, data } = await model.answerLogits(messages, answer.tokenIds, {
      tiling: 'off',
    });
    assert.equal(tokens, answer.tokenIds.length);
    assert.equal(data.length, tokens * vocabulary);
    answer.tokenIds.forEach((id, i) => {
      const row = data.subarray(i * vocabulary, (i + 1) * vocabulary);
      assert.equal(row.indexOf(Math.max(...row)), id);
      const sum = row.reduce((total, value) => total + Math.exp(value), 0);
      const logProb = (row[id] ?? NaN) - Math.log(sum);
      assert.ok(Math.abs(logProb - (answer.logProbs[i] ?? NaN)) < 1e-4);
    });
    await assert.rejects(model.answerLogits(messages, []), /answer/);
    await assert.rejects(model.answerLogits(messages, [vocabulary]), /answer/);
    const long = new Array<number>(model.maxContext).fill(1);
    await assert.rejects(model.answerLogits(messages, long), /FACELLM_PROMPT_TOO_LONG|limit/);
  });

  it('tells what the models say one by one, with a yardstick and reports', async () => {
    const { figures, summary, failures } = await compare(options);
    assert.equal(failures, 0);
    assert.deepEqual(
      summary?.models.map(({ name }) => name),
      ['model', 'yardstick'],
    );
    assert.ok(figures && figures.kl.mean > 0 && figures.count === 8);
    const yardstick = summary?.models[1]?.figures['kl.mean'] ?? NaN;
    assert.ok(yardstick > 0 && yardstick < 0.1);
    const [reference, model] = [
      outcomes(options.output, 'reference'),
      outcomes(options.output, 'model'),
    ];
    const third = model.find(({ id }) => id.includes('3.jpg'));
    // The same by hand.
    const stored = await FaceLlm.load(CHECKPOINT, LOAD);
    const int8 = await FaceLlm.load(CHECKPOINT, { ...LOAD, weights: 'int8' });
    try {
      const run = JSON.parse(readFileSync(join(options.output, 'run.json'), 'utf8')) as {
        models: { settings: { model: { load?: string } } }[];
      };
      assert.match(run.models[1]?.settings.model.load ?? '', /int8/);
      const question = { image: photo(), question: 'Is the person male or female?' };
      const shares = async (one: FaceLlm, choices: string[]): Promise<number[]> =>
        (await one.choose({ ...question, choices, tiling: 'off' })).choices.map(
          ({ probability }) => probability,
        );
      assert.equal((await shares(stored, ['Male', 'Female'])).length, 2);
      const messages = [{ role: 'user' as const, content: 'Is it?' }];
      const { tokenIds } = await stored
        .chat(messages, { doSample: false, maxNewTokens: 3 })
        .result();
      const [p, q] = await Promise.all([
        stored.answerLogits(messages, tokenIds),
        int8.answerLogits(messages, tokenIds),
      ]);
      assert.ok((divergences(p.data, q.data, tokenIds).kl[0] ?? 0) > 0);
    } finally {
      await stored.dispose();
      await int8.dispose();
    }
    assert.equal(reference[0]?.divergence, undefined);
    assert.equal(third?.divergence?.kl.length, 4);
    for (const ending of ['md', 'html', 'json', 'csv']) {
      assert.ok(existsSync(join(options.output, 'report', `comparison.${ending}`)), ending);
    }
    const report = readFileSync(join(options.output, 'report', 'comparison.md'), 'utf8');
    assert.match(report, /decisions flipped/);
    assert.match(report, /## By race/);
    assert.match(report, /weights int8/);
  });

  it('goes on after a stop, and ends with the same figures', async () => {
    const other = { ...options, output: faces.output('stopped'), batchSize: 1 } as CompareOptions;
    const run = compare(other);
    for await (const event of run) {
      if (event.type === 'batch' && event.model === 'model' && event.done >= 3) run.stop();
    }
    const stopped = await run;
    assert.ok(stopped.missing > 0 && stopped.figures === undefined);
    const whole = await compare(other);
    const again = await compare({ ...options, batchSize: 8 });
    assert.deepEqual(whole.figures, again.figures);
  });

  it('another reference than the folder was begun with is refused', async () => {
    const changed: CompareOptions = { ...options, weights: 'int4' };
    await assert.rejects(
      async () => compare(changed),
      ({ code }: { code: string }) => code === 'FACELLM_RUN_INVALID',
    );
  });

  it('the command is a gate', () => {
    const args = [
      ...['compare', '--model', CHECKPOINT, '--weights', 'int8', '--data', faces.folder],
      ...['--attributes', 'gender', '--threads', '1', '--device', 'cpu', '--tiles', 'off'],
      ...['--max-new-tokens', '4', '--no-charts', '--no-yardstick', '--limit', '3'],
    ];
    const run = (...more: string[]) =>
      spawnSync(process.execPath, [MAIN, ...args, ...more], { encoding: 'utf8' });
    const output = faces.output('cli');
    const met = run('--output', output, '--max-kl', '9');
    assert.equal(met.status, 0, met.stderr);
    assert.match(met.stdout, /KL a token, mean[\s\S]*within --max-kl 9/);
    const missed = run('--output', output, '--max-kl', '0', '--json');
    assert.equal(missed.status, 1, missed.stderr);
    const told = JSON.parse(missed.stdout) as { gate: { isMet: boolean } };
    assert.equal(told.gate.isMet, false);
    assert.equal(run('--output', output, '--max-kl', '-1').status, 2);
  });
});
