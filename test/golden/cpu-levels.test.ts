/**
 * The bf16 cases once more, as a processor computes them that has nothing for bf16: large products widened to fp32
 * (docs/numerics.md). The level is read once a process, so this is another one.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');

describe('golden: bf16 without hardware for it', () => {
  it('gives what the reference gives', () => {
    const mocha = join(ROOT, 'node_modules', 'mocha', 'bin', 'mocha.js');
    const run = spawnSync(
      process.execPath,
      [mocha, '--reporter', 'json', '--grep', ' bf16 on cpu', 'test/golden/model.test.ts'],
      { cwd: ROOT, encoding: 'utf8', env: { ...process.env, FACELLM_CPU_ISA: 'avx2' } },
    );
    const { stats, failures } = JSON.parse(run.stdout.slice(run.stdout.indexOf('{'))) as {
      stats: { passes: number };
      failures: readonly unknown[];
    };
    assert.deepEqual(failures, []);
    assert.ok(stats.passes >= 12, `${stats.passes} cases ran`);
    assert.equal(run.status, 0);
  });
});
