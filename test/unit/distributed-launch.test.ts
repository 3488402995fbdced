/** The launcher of one-machine jobs, with plain Node programs as ranks. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';

import { launch } from '../../lib/distributed/index.js';

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `program`, JavaScript that knows `rank`, in that many processes. */
async function run(processes: number, program: string): Promise<Outcome> {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const code = await launch({
    processes,
    program: process.execPath,
    args: ['-e', `const rank = Number(process.env.RANK); ${program}`],
    env: process.env,
    leaderOutput: 'pipe',
    ...{ stdout, stderr },
  });
  stdout.end();
  stderr.end();
  return { code, stdout: await text(stdout), stderr: await text(stderr) };
}

describe('distributed: launcher', function () {
  this.timeout(60_000);

  it("sets torchrun's variables and marks each rank's lines", async () => {
    const { code, stdout, stderr } = await run(
      2,
      `const e = process.env;
       console.log(e.LOCAL_RANK, e.WORLD_SIZE, e.LOCAL_WORLD_SIZE, e.MASTER_ADDR, e.MASTER_PORT > 0);
       console.error('to stderr');`,
    );
    assert.equal(code, 0);
    assert.deepEqual(stdout.trimEnd().split('\n').sort(), [
      '[rank 0] 0 2 2 127.0.0.1 true',
      '[rank 1] 1 2 2 127.0.0.1 true',
    ]);
    assert.match(stderr, /\[rank 1\] to stderr/);
  });

  it('ends with the code that failed ranks agree on, else with 1', async () => {
    assert.equal((await run(2, 'process.exitCode = 130')).code, 130);
    assert.equal((await run(2, 'process.exitCode = rank === 0 ? 0 : 130')).code, 130);
    assert.equal((await run(2, 'process.exitCode = 2')).code, 2);
    assert.equal((await run(2, 'process.exitCode = rank + 1')).code, 1);
  });

  it('says which rank was killed, and by what', async () => {
    const { code, stderr } = await run(2, "if (rank === 1) process.kill(process.pid, 'SIGKILL')");
    assert.equal(code, 1);
    assert.match(stderr, /rank 1 was killed by SIGKILL/);
  });

  it('passes a signal on to every rank, once', async () => {
    const helper = join(import.meta.dirname, '..', 'support', 'launch-waiting.ts');
    const tsx = new URL('../support/tsx.mjs', import.meta.url).href;
    const child = spawn(process.execPath, ['--import', tsx, helper], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines: string[] = [];
    let isSent = false;
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      lines.push(...chunk.split('\n').filter((line) => line !== ''));
      if (isSent || lines.filter((line) => line.endsWith('ready')).length < 2) return;
      isSent = child.kill('SIGINT');
    });
    const [code] = (await once(child, 'close')) as [number];
    assert.equal(code, 130);
    const got = lines.filter((line) => line.includes('SIGINT')).sort();
    assert.deepEqual(got, ['[rank 0] 1 SIGINT', '[rank 1] 1 SIGINT']);
  });
});
