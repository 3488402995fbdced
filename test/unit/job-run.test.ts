/** A job whose failure nobody looks at is no secret. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

import { JobRun } from '../../lib/jobs/index.js';

const ROOT = join(import.meta.dirname, '..', '..');

/** A program of its own: mocha listens for unhandled rejections itself. */
function run(rest: string): { readonly status: number | null; readonly stderr: string } {
  const script = `
    const { JobRun } = await import('./lib/jobs/index.ts');
    const job = new JobRun(async (own) => {
      own.emit('begun');
      await new Promise((resolve) => setTimeout(resolve, 5));
      throw new Error('on purpose');
    });
    const wait = () => new Promise((resolve) => setTimeout(resolve, 50));
    ${rest}`;
  const flags = ['--import=./test/support/tsx.mjs', '--input-type=module', '-e', script];
  return spawnSync(process.execPath, flags, { encoding: 'utf8', cwd: ROOT });
}

describe('a job that fails', () => {
  it('and is neither awaited nor iterated over is an unhandled rejection', () => {
    const { status, stderr } = run('await wait();');
    assert.equal(status, 1, stderr);
    assert.match(stderr, /on purpose/);
  });

  const handled: readonly (readonly [string, string])[] = [
    ['awaited', 'await job.then(() => 0, () => 0); await wait();'],
    [
      'iterated over',
      'try { for await (const _ of job); process.exit(3); } catch {} await wait();',
    ],
    ['left in the middle of the loop', 'for await (const _ of job) break; await wait();'],
  ];
  for (const [name, rest] of handled) {
    it(`and is ${name} has told whom it should`, () => {
      const { status, stderr } = run(rest);
      assert.equal(status, 0, stderr);
    });
  }

  it('rejects whoever awaits and whoever iterates, all of them', async () => {
    const job = new JobRun<string, never>((own) => {
      own.emit('begun');
      return Promise.reject(new Error('on purpose'));
    });
    const loop = async (): Promise<void> => {
      for await (const event of job) assert.equal(event, 'begun');
    };
    const all = await Promise.allSettled([job, job, loop(), loop()]);
    assert.deepEqual(
      all.map(({ status }) => status),
      ['rejected', 'rejected', 'rejected', 'rejected'],
    );
  });
});
