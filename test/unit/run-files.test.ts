/** Files of a run: atomic replacement, logs that survive a crash, a full disk, the trainer's log. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { appendFile, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

import { AppendFile } from '../../lib/training/run/append-file.js';
import { formatDuration } from '../../lib/training/run/duration.js';
import {
  AppendLog,
  type StepRecord,
  TrainerLog,
  trainerLogEntry,
  writeFileAtomic,
} from '../../lib/training/run/index.js';
import { skip } from '../support/skip.js';
import { errorOf, TestFolder } from './checkpoint-folder.js';

const RECORD: StepRecord = {
  step: 83,
  totalSteps: 1096,
  epoch: 0.075729927,
  loss: 1.23456789,
  learningRate: 9.862345678901e-6,
  gradNorm: 0.5,
  elapsedSeconds: 83.9,
  samplesPerSecond: 80,
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

async function logOf(...steps: number[]): Promise<AppendLog> {
  const log = await AppendLog.open(folder.at('log.jsonl'));
  for (const step of steps) log.append({ step });
  await log.flush();
  return log;
}

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

describe('AppendLog', () => {
  it('has on the disk what was appended before a flush, as it was then', async () => {
    const log = await logOf();
    const entry = { step: 1, note: 'line\nbreak' };
    log.append(entry);
    entry.step = 9;
    assert.equal(await readFile(log.path, 'utf8'), '');
    await log.flush();
    assert.equal(await readFile(log.path, 'utf8'), '{"step":1,"note":"line\\nbreak"}\n');
    await log.close();
    await log.close();
    assert.throws(() => log.append({}), { code: 'FACELLM_DISPOSED' });
  });

  it('keeps the order when flushes overlap', async () => {
    const log = await logOf();
    const flushes = Array.from({ length: 50 }, (_, step) => {
      log.append({ step });
      return log.flush();
    });
    await Promise.all(flushes);
    assert.deepEqual(
      await log.entries(),
      Array.from({ length: 50 }, (_, step) => ({ step })),
    );
    await log.close();
  });

  for (const [kind, tail] of [
    ['half a line', '{"step":3,"lo'],
    ['a line without its end', '{"step":3}'],
    ['zeros', '\0\0\0\0'],
    ['zeros inside a line, and more lines', '{"st\0\0\0":3}\n{"step":4}\n'],
  ] as const) {
    it(`cuts off a tail of ${kind} and goes on`, async () => {
      await (await logOf(1, 2)).close();
      await appendFile(folder.at('log.jsonl'), tail);
      const log = await logOf(3);
      await log.close();
      assert.equal(await readFile(log.path, 'utf8'), '{"step":1}\n{"step":2}\n{"step":3}\n');
    });
  }

  it('empties a file that is nothing but a torn line', async () => {
    await writeFile(folder.at('log.jsonl'), '{"st');
    const log = await logOf();
    assert.deepEqual(await log.entries(), []);
    await log.close();
  });

  it('truncateAfter drops newer lines, those that wait included, and only those', async () => {
    const log = await logOf(1, 2, 3);
    log.append({ step: 4 });
    await log.truncateAfter(({ step }) => Number(step) > 2);
    log.append({ step: 3, again: true });
    await log.flush();
    await log.truncateAfter(({ step }) => Number(step) > 100);
    assert.deepEqual(await log.entries(), [{ step: 1 }, { step: 2 }, { step: 3, again: true }]);
    await log.close();
  });

  it('refuses a whole line that is no object, and names it', async () => {
    await writeFile(folder.at('log.jsonl'), '{"step":1}\n[2]\n{"step":3}\n');
    const log = await logOf();
    const error = await errorOf(log.truncateAfter(() => true));
    assert.equal(error.code, 'FACELLM_RUN_INVALID');
    assert.match(error.message, /log\.jsonl, line 2/);
    await log.close();
  });
});

describe('full disk', () => {
  before(function () {
    if (process.platform !== 'linux') skip(this, 'needs /dev/full, which Linux has');
  });

  it('ENOSPC names the path and the remedy, and the records wait', async () => {
    const file = await AppendFile.open('/dev/full');
    file.append(Buffer.from('x'));
    for (let i = 0; i < 2; i++) {
      const error = await errorOf(file.flush());
      assert.equal(error.code, 'FACELLM_RUN_WRITE');
      assert.match(error.message, /\/dev\/full .*ENOSPC.*free space.*resume/);
    }
    await errorOf(file.close());
  });

  it('a write that went half way is taken back', async () => {
    // A process that may not make a file larger than 64 KiB writes as to a disk that fills up.
    const script = `
      const { AppendLog } = await import(${JSON.stringify(
        pathToFileURL(fileURLToPath(new URL('../../lib/training/run/index.ts', import.meta.url))),
      )});
      const log = await AppendLog.open(process.argv[1]);
      log.append({ step: 1 });
      await log.flush();
      for (let step = 2; step < 5; step++) log.append({ step, text: 'x'.repeat(30000) });
      const error = await log.flush().then(() => undefined, (cause) => cause);
      console.log(error?.code, /EFBIG.*free space/.test(error?.message));`;
    const path = folder.at('log.jsonl');
    const { stdout } = await promisify(execFile)('bash', [
      '-c',
      'ulimit -f 64; exec "$@"',
      'bash',
      process.execPath,
      `--import=${new URL('../support/tsx.mjs', import.meta.url).href}`,
      '--input-type=module',
      '--eval',
      script,
      path,
    ]);
    assert.equal(stdout.trim(), 'FACELLM_RUN_WRITE true');
    assert.equal(await readFile(path, 'utf8'), '{"step":1}\n');
  });
});

describe('trainer_log.jsonl', () => {
  it("has LLaMA-Factory's keys in its order, and its formats", () => {
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
    });
  });

  it('leaves out what has no value', () => {
    const entry = trainerLogEntry({ ...RECORD, loss: NaN, totalTokens: 0 });
    for (const key of ['loss', 'throughput', 'total_tokens']) assert.ok(!(key in entry), key);
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
