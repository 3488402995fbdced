/**
 * `facellm train` in several real processes: numbers, a rank that is killed, Ctrl-C, ranks that disagree. On the CPU whatever
 * FACELLM_TEST_DEVICES says: on GPUs each rank takes one of its own, and the pretend device has no NCCL.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { HAS_GLOO } from '../support/gloo.js';
import { NEEDS_GLOO, skip } from '../support/skip.js';
import { GOLDEN } from '../support/golden.js';

const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'main.js');
const STEPS = 30;

/** A command under way, and what it has printed so far. */
class Run {
  readonly child: ChildProcess;
  stdout = '';
  stderr = '';
  /** Exit code, once everything has been read. */
  readonly code: Promise<number | null>;

  constructor(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.child = spawn(process.execPath, [MAIN, 'train', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (this.stdout += chunk));
    this.child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (this.stderr += chunk));
    this.code = new Promise((resolve) => this.child.once('close', resolve));
  }

  async expectCode(expected: number): Promise<this> {
    assert.equal(await this.code, expected, this.stderr);
    return this;
  }
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

/** False also for a process that has ended and that nobody has asked about. */
function isRunning(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}

describe(`end to end: training in several processes`, function () {
  this.timeout(180_000);
  let folder = '';

  before(function () {
    if (!HAS_GLOO) skip(this, NEEDS_GLOO);
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
        'saveEvery=10',
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
    await new Run([...options('one', 4), '--threads', '1']).expectCode(0);
    const { stdout } = await new Run([...options('whole', 2), ...two]).expectCode(0);
    const result = JSON.parse(stdout) as { isComplete: boolean; steps: number };
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

  it('shared prefixes and expected rewards, too', async () => {
    // Four of a picture: one process's micro-batch of four, and two processes' of two each.
    const records = Array.from({ length: 8 }, (_, i) => ({
      conversations: [
        { from: 'human', value: '<image>\nIs it round?' },
        { from: 'gpt', value: i % 3 === 0 ? 'yes' : 'no' },
      ],
      images: [i % 2 === 0 ? '0_0.png' : '1_0.png'],
    }));
    writeFileSync(join(folder, 'closed.json'), JSON.stringify(records));
    const more = [
      ...['maxSteps=6', 'accumulation=2', 'sharesPrefix=true'],
      'expectedReward={"kl":0.1,"supervised":0.5,"ordered":[]}',
      ...['--data', join(folder, 'closed.json')],
    ];
    await new Run([...options('one-closed', 4, ...more), '--threads', '1']).expectCode(0);
    await new Run([...options('closed', 2, ...more), ...two]).expectCode(0);
    const expected = losses('one-closed');
    assert.equal(expected.length, 6);
    losses('closed').forEach((loss, i) =>
      assert.ok(
        // Six digits in the log; expected rewards make losses of either sign, of order one.
        Math.abs(loss - (expected[i] ?? NaN)) < 1e-4 * Math.max(1, Math.abs(loss)),
        `step ${i}: ${loss}, ${expected[i]}`,
      ),
    );
  });

  it('a killed rank ends the job with its name; Ctrl-C saves; resumed, the run is the unbroken one', async () => {
    const killed = new Run([...options('broken', 2), ...two]);
    await until('a checkpoint', () => existsSync(join(folder, 'broken', 'checkpoint-10')));
    process.kill(pidOfRank(killed.child, 1), 'SIGKILL');
    await killed.expectCode(1);
    assert.equal(killed.stdout, '');
    assert.match(killed.stderr, /facellm: rank 1 \(process \d+ on .*\) is gone/);
    assert.match(killed.stderr, /FACELLM_DISTRIBUTED/);
    assert.match(killed.stderr, /rank 1 was killed by SIGKILL/);

    const stopped = new Run([...options('broken', 2), ...two]);
    await until('the resumed run', () => stopped.stderr.includes('resumed after update'));
    stopped.child.kill('SIGINT');
    await stopped.expectCode(130);

    const resumed = await new Run([...options('broken', 2), ...two]).expectCode(0);
    assert.match(resumed.stderr, /resumed after update [12]\d/);
    assert.deepEqual(losses('broken'), losses('whole'));
    assert.ok(tensors('broken').equals(tensors('whole')), 'bit for bit');
  });

  it('ranks with different settings end with one message', async () => {
    const env = {
      WORLD_SIZE: '2',
      MASTER_ADDR: '127.0.0.1',
      MASTER_PORT: String(await freePort()),
    };
    const ranks = [0, 1].map((rank) => {
      const own = { ...env, RANK: String(rank), LOCAL_RANK: String(rank) };
      return new Run(options('differing', 2, `seed=${rank}`), own);
    });
    for (const rank of ranks) {
      const { stderr } = await rank.expectCode(1);
      assert.match(stderr, /another recipe, model or data than rank 0/);
      assert.match(stderr, /FACELLM_DISTRIBUTED/);
    }
  });

  it('wrong variables are listed; a job inside a job is a usage error', async () => {
    const wrong = new Run(options('never', 2), { RANK: '3', WORLD_SIZE: '2' });
    const place = {
      RANK: '0',
      WORLD_SIZE: '2',
      LOCAL_RANK: '0',
      MASTER_ADDR: 'x',
      MASTER_PORT: '1',
    };
    const twice = new Run([...options('never', 2), ...two], place);
    assert.match(
      (await wrong.expectCode(1)).stderr,
      /LOCAL_RANK: is not set\n.*MASTER_ADDR: is not set/,
    );
    assert.match((await twice.expectCode(2)).stderr, /leave it out under torchrun/);
    assert.ok(!existsSync(join(folder, 'never')));
  });

  it('ranks end when their launcher is killed', async () => {
    const run = new Run([...options('orphans', 2, 'maxSteps=100000'), ...two]);
    await until('a checkpoint', () => existsSync(join(folder, 'orphans', 'checkpoint-10')));
    const pids = [0, 1].map((rank) => pidOfRank(run.child, rank));
    run.child.kill('SIGKILL');
    await until('the end of the ranks', () => !pids.some(isRunning));
  });
});
