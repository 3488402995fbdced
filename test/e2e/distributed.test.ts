/** `facellm train` in several real processes: numbers, a rank that is killed, Ctrl-C, ranks that disagree. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

import { GLOO_NOTE, HAS_GLOO } from '../support/gloo.js';
import { GOLDEN } from '../support/golden.js';

const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'main.js');
const STEPS = 30;

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(args: readonly string[], env: Record<string, string> = {}): ChildProcess {
  return spawn(process.execPath, [MAIN, 'train', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
}

async function ended(child: ChildProcess): Promise<Ended> {
  assert.ok(child.stdout && child.stderr);
  const [[code], stdout, stderr] = await Promise.all([
    once(child, 'close') as Promise<[number | null]>,
    text(child.stdout),
    text(child.stderr),
  ]);
  return { code, stdout, stderr };
}

async function until(what: string, isSo: () => boolean): Promise<void> {
  for (let i = 0; !isSo(); i++) {
    assert.ok(i < 3000, `${what} did not come`);
    await sleep(20);
  }
}

/** The process that `launcher` started as this rank. */
function pidOfRank(launcher: ChildProcess, rank: number): number {
  const children = readFileSync(`/proc/${launcher.pid}/task/${launcher.pid}/children`, 'utf8');
  const found = children
    .trim()
    .split(' ')
    .find((pid) =>
      readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(`RANK=${rank}`),
    );
  assert.ok(found);
  return Number(found);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}

describe(`end to end: training in several processes${GLOO_NOTE}`, function () {
  this.timeout(180_000);
  let folder = '';

  before(function () {
    if (!HAS_GLOO) this.skip();
    folder = mkdtempSync(join(tmpdir(), 'facellm-jobs-'));
    const images = join(GOLDEN, 'train-images');
    const records = JSON.parse(readFileSync(join(images, 'dataset.json'), 'utf8')) as unknown[];
    writeFileSync(join(folder, 'data.json'), JSON.stringify([...records, ...records, ...records]));
  });
  after(() => {
    if (folder !== '') rmSync(folder, { recursive: true });
  });

  function options(run: string, batchSize: number, ...more: string[]): string[] {
    return [
      ...['--recipe', 'nano', '--model', join(GOLDEN, 'ckpt-300m'), '--device', 'cpu', '--json'],
      ...['--data', join(folder, 'data.json'), '--image-root', join(GOLDEN, 'train-images')],
      ...['--output', join(folder, run)],
      ...[
        '--set',
        `batchSize=${batchSize}`,
        `maxSteps=${STEPS}`,
        'saveEvery=5',
        'keepCheckpoints=0',
      ],
      ...['logEvery=1', 'learningRate=1e-4', ...more],
    ];
  }
  const two = ['--processes', '2'];

  function losses(run: string): number[] {
    return readFileSync(join(folder, run, 'trainer_log.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { loss: number }).loss);
  }

  function tensors(run: string): Buffer {
    return readFileSync(join(folder, run, `checkpoint-${STEPS}`, 'optimizer.safetensors'));
  }

  it('two processes take the steps of one', async () => {
    const one = await ended(start([...options('one', 4), '--threads', '1']));
    assert.equal(one.code, 0, one.stderr);
    const job = await ended(start([...options('whole', 2), ...two]));
    assert.equal(job.code, 0, job.stderr);
    const result = JSON.parse(job.stdout) as { isComplete: boolean; steps: number };
    assert.deepEqual([result.isComplete, result.steps], [true, STEPS]);
    const expected = losses('one');
    assert.equal(expected.length, STEPS);
    losses('whole').forEach((loss, i) => {
      // Six digits in the log; AdamW turns rounding of near-zero gradients into steps of either sign.
      assert.ok(
        Math.abs(loss / (expected[i] ?? NaN) - 1) < 1e-4,
        `step ${i}: ${loss}, ${expected[i]}`,
      );
    });
    assert.ok(readdirSync(join(folder, 'whole')).includes('model.safetensors'));
  });

  it('a killed rank ends the job with its name; Ctrl-C saves; resumed, the run is the unbroken one', async () => {
    const killed = start([...options('broken', 2), ...two]);
    const end = ended(killed);
    await until('a checkpoint', () => existsSync(join(folder, 'broken', 'checkpoint-5')));
    process.kill(pidOfRank(killed, 1), 'SIGKILL');
    const { code, stdout, stderr } = await end;
    assert.equal(code, 1, stderr);
    assert.equal(stdout, '');
    assert.match(stderr, /facellm: rank 1 \(process \d+ on .*\) is gone/);
    assert.match(stderr, /FACELLM_DISTRIBUTED/);
    assert.match(stderr, /rank 1 was killed by SIGKILL/);

    const stopped = start([...options('broken', 2), ...two]);
    const stop = ended(stopped);
    await until('the next checkpoint', () => existsSync(join(folder, 'broken', 'checkpoint-15')));
    stopped.kill('SIGINT');
    const interrupted = await stop;
    assert.equal(interrupted.code, 130, interrupted.stderr);

    const resumed = await ended(start([...options('broken', 2), ...two]));
    assert.equal(resumed.code, 0, resumed.stderr);
    assert.match(resumed.stderr, /resumed after update/);
    assert.deepEqual(losses('broken'), losses('whole'));
    assert.ok(tensors('broken').equals(tensors('whole')), 'bit for bit');
  });

  it('ranks with different settings end with one message', async () => {
    const env = {
      WORLD_SIZE: '2',
      MASTER_ADDR: '127.0.0.1',
      MASTER_PORT: String(await freePort()),
    };
    const ranks = await Promise.all(
      [0, 1].map((rank) => {
        const own = { ...env, RANK: String(rank), LOCAL_RANK: String(rank) };
        return ended(start(options('differing', 2, `seed=${rank}`), own));
      }),
    );
    for (const { code, stderr } of ranks) {
      assert.equal(code, 1, stderr);
      assert.match(stderr, /another recipe, model or data than rank 0/);
      assert.match(stderr, /FACELLM_DISTRIBUTED/);
    }
  });

  it('wrong variables are listed; a job inside a job is a usage error', async () => {
    const wrong = await ended(start(options('never', 2), { RANK: '3', WORLD_SIZE: '2' }));
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /LOCAL_RANK: is not set\n.*MASTER_ADDR: is not set/);
    const place = {
      RANK: '0',
      WORLD_SIZE: '2',
      LOCAL_RANK: '0',
      MASTER_ADDR: 'x',
      MASTER_PORT: '1',
    };
    const twice = await ended(start([...options('never', 2), ...two], place));
    assert.equal(twice.code, 2);
    assert.match(twice.stderr, /leave it out under torchrun/);
    assert.ok(!existsSync(join(folder, 'never')));
  });
});
