/** Whatever is skipped is told with its reason: `npm test` lists them at its end. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');

describe('contract: skipped tests', () => {
  it('each has the reason that it, or the hook of its suite, gave; one without is named', () => {
    const folder = mkdtempSync(join(tmpdir(), 'facellm-skips-'));
    try {
      const suite = join(folder, 'suite.test.ts');
      const support = join(ROOT, 'test', 'support', 'skip.ts');
      writeFileSync(
        suite,
        `import { skip } from ${JSON.stringify(support)};
        it('runs', () => undefined);
        it('alone', function () { skip(this, 'no disk'); });
        it.skip('silent', () => undefined);
        describe('both', () => {
          before(function () { skip(this, 'no Gloo'); });
          it('one', () => undefined);
          describe('deeper', () => { it('two', () => undefined); });
        });`,
      );
      const counts = join(folder, 'counts.json');
      const mocha = join(ROOT, 'node_modules', 'mocha', 'bin', 'mocha.js');
      const reporter = join(ROOT, 'scripts', 'spec-and-counts.cjs');
      const run = spawnSync(process.execPath, [mocha, '--reporter', reporter, suite], {
        ...{ cwd: ROOT, encoding: 'utf8' },
        env: { ...process.env, FACELLM_COUNTS: counts },
      });
      assert.equal(run.status, 0, run.stderr);
      assert.deepEqual(JSON.parse(readFileSync(counts, 'utf8')), {
        passed: 1,
        failed: 0,
        skipped: ['no disk', 'no reason given: silent', 'no Gloo', 'no Gloo'],
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
