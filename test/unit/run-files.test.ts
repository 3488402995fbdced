/** Files of a run: atomic replacement, the trainer's log. */
import assert from 'node:assert/strict';
import { appendFile, mkdir, readdir, readFile, stat } from 'node:fs/promises';

import { formatDuration } from '../../lib/progress/index.js';
import { writeFileAtomic } from '../../lib/files/index.js';
import type { StepRecord } from '../../lib/training/run/step-record.js';
import { TrainerLog, trainerLogEntry } from '../../lib/training/run/trainer-log.js';
import { errorOf, TestFolder } from './checkpoint-folder.js';

const RECORD: StepRecord = {
  step: 83,
  totalSteps: 1096,
  epoch: 0.075729927,
  loss: 1.23456789,
  learningRate: 9.862345678901e-6,
  gradNorm: 0.523456789,
  elapsedSeconds: 83.9,
  samplesPerSecond: 80,
  computedShare: 1,
  tokensPerSecond: 2345.678,
  totalTokens: 196_800,
  peakBytes: 3 * 1024 ** 3,
};

let folder: TestFolder;
beforeEach(async () => {
  folder = await TestFolder.create();
});
afterEach(async () => {
  await folder.remove();
});

describe('writeFileAtomic', () => {
  it('creates and replaces, and leaves nothing else behind', async () => {
    await writeFileAtomic(folder.at('a.json'), 'old');
    await writeFileAtomic(folder.at('a.json'), Buffer.from('new'));
    assert.equal(await readFile(folder.at('a.json'), 'utf8'), 'new');
    assert.deepEqual(await readdir(folder.path), ['a.json']);
  });

  it('names the path if the folder is missing', async () => {
    const path = folder.at('none', 'a.json');
    const error = await errorOf(writeFileAtomic(path, 'x'));
    assert.equal(error.code, 'FACELLM_RUN_WRITE');
    assert.equal(error.name, 'TrainingError');
    assert.ok(error.message.includes(path) && error.message.includes('ENOENT'), error.message);
    assert.match(error.message, /resume the run/);
  });

  it('removes its temporary file if it cannot rename', async () => {
    await mkdir(folder.at('taken', 'inside'), { recursive: true });
    const error = await errorOf(writeFileAtomic(folder.at('taken'), 'x'));
    assert.equal(error.code, 'FACELLM_RUN_WRITE');
    assert.deepEqual(await readdir(folder.path), ['taken']);
  });
});

describe('trainer_log.jsonl', () => {
  it("has LLaMA-Factory's keys in its order, and its formats; behind them the norm of the gradients", () => {
    const entry = trainerLogEntry(RECORD);
    assert.deepEqual(Object.keys(entry), [
      'current_steps',
      'total_steps',
      'loss',
      'lr',
      'epoch',
      'percentage',
      'elapsed_time',
      'remaining_time',
      'throughput',
      'total_tokens',
      'grad_norm',
    ]);
    assert.deepEqual(entry, {
      current_steps: 83,
      total_steps: 1096,
      loss: 1.23457,
      lr: 9.862345678901e-6,
      epoch: 0.07573,
      percentage: 7.57,
      elapsed_time: '0:01:23',
      remaining_time: '0:17:03',
      throughput: 2345.68,
      total_tokens: 196_800,
      grad_norm: 0.523457,
    });
  });

  it('leaves out what has no value', () => {
    const entry = trainerLogEntry({ ...RECORD, loss: NaN, gradNorm: NaN, totalTokens: 0 });
    for (const key of ['loss', 'throughput', 'total_tokens', 'grad_norm'])
      assert.ok(!(key in entry), key);
    assert.equal(trainerLogEntry({ ...RECORD, loss: 0.000123456789 }).loss, 0.000123457);
  });

  it('counts only its own steps when it estimates the time left', () => {
    const entry = trainerLogEntry({ ...RECORD, step: 1000, elapsedSeconds: 10 }, 990);
    assert.equal(entry.remaining_time, '0:01:36');
  });

  it('a resumed run logs no step twice; a fresh one begins anew', async () => {
    const stepsOf = async (): Promise<number[]> =>
      (await readFile(folder.at('trainer_log.jsonl'), 'utf8'))
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => (JSON.parse(line) as { current_steps: number }).current_steps);
    const run = async (resumeStep: number, steps: readonly number[]): Promise<void> => {
      const log = await TrainerLog.open({ folder: folder.path, resumeStep });
      for (const step of steps) log.append({ ...RECORD, step });
      await log.close();
    };
    await run(0, [1, 2, 3, 4]);
    await appendFile(folder.at('trainer_log.jsonl'), '{"current_steps":5,');
    await run(2, [3, 4, 5]);
    assert.deepEqual(await stepsOf(), [1, 2, 3, 4, 5]);
    await run(0, [1]);
    assert.deepEqual(await stepsOf(), [1]);
    assert.ok((await stat(folder.at('trainer_log.jsonl'))).size < 400);
  });

  it("durations are Python's", () => {
    assert.deepEqual([0, 83.9, 3723, 86_399, 86_400, 180_000, NaN, -1].map(formatDuration), [
      '0:00:00',
      '0:01:23',
      '1:02:03',
      '23:59:59',
      '1 day, 0:00:00',
      '2 days, 2:00:00',
      '0:00:00',
      '0:00:00',
    ]);
  });
});
