/**
 * `npm test`: sets up what is missing, then runs every mocha suite and, where GoogleTest is installed,
 * the native ones; `npm test -- FILE...` runs those suites alone. Ends with one line, 'N passed, N failed,
 * N skipped', over all of them.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { findLibtorch } from './install/find-libtorch.mjs';
import { ROOT, setUp } from './setup.mjs';

/** @typedef {{ passed: number, failed: number, skipped: number }} Counts */

/** @param {string} folder @param {readonly string[]} args @returns {Counts} */
function runMocha(folder, args) {
  const report = join(folder, 'mocha.json');
  const run = spawnSync(
    process.execPath,
    [
      join(ROOT, 'node_modules', 'mocha', 'bin', 'mocha.js'),
      '--reporter',
      join(ROOT, 'scripts', 'spec-and-counts.cjs'),
      ...args,
    ],
    { cwd: ROOT, stdio: 'inherit', env: { ...process.env, FACELLM_COUNTS: report } },
  );
  if (!existsSync(report)) {
    process.stderr.write(`mocha ended without a report (status ${run.status})\n`);
    return { passed: 0, failed: 1, skipped: 0 };
  }
  const counts = JSON.parse(readFileSync(report, 'utf8'));
  // A suite that breaks outside of any test must not count as a success.
  return run.status !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}

/** @param {string} folder @returns {Counts} */
function runNative(folder) {
  const skip = (/** @type {string} */ reason) => {
    process.stderr.write(`native tests skipped: ${reason}\n`);
    return { passed: 0, failed: 0, skipped: 1 };
  };
  const source = process.env.FACELLM_GTEST_SOURCE;
  if (!source && !existsSync('/usr/include/gtest/gtest.h')) {
    return skip('no GoogleTest (Debian: apt-get install libgtest-dev)');
  }
  const libtorch = findLibtorch().found;
  if (!libtorch) return skip('no libtorch');
  const build = join(ROOT, 'build-tests');
  const configure = [
    '-S',
    ROOT,
    '-B',
    build,
    `-DLIBTORCH_ROOT=${libtorch.root}`,
    '-DFACELLM_NO_ADDON=ON',
    '-DFACELLM_NATIVE_TESTS=ON',
  ];
  if (source) configure.push(`-DFACELLM_GTEST_SOURCE=${source}`);
  for (const args of [
    configure,
    ['--build', build, '-j', '2', '--target', 'facellm_native_tests'],
  ]) {
    const run = spawnSync('cmake', args, { cwd: ROOT, encoding: 'utf8' });
    if (run.status !== 0) {
      process.stderr.write(`${run.stdout}\n${run.stderr}\nthe native tests do not build\n`);
      return { passed: 0, failed: 1, skipped: 0 };
    }
  }
  const report = join(folder, 'native.json');
  const run = spawnSync(
    join(build, 'facellm_native_tests'),
    ['--gtest_brief=1', `--gtest_output=json:${report}`],
    {
      cwd: ROOT,
      stdio: 'inherit',
    },
  );
  if (!existsSync(report)) return { passed: 0, failed: 1, skipped: 0 };
  const { tests, failures, testsuites } = JSON.parse(readFileSync(report, 'utf8'));
  const cases = testsuites.flatMap(
    (/** @type {{ testsuite: unknown[] }} */ suite) => suite.testsuite,
  );
  const skipped = cases.filter(
    (/** @type {{ result: string }} */ one) => one.result === 'SKIPPED',
  ).length;
  const crashed = run.status !== 0 && failures === 0 ? 1 : 0;
  return { passed: tests - failures - skipped, failed: failures + crashed, skipped };
}

setUp();
const folder = mkdtempSync(join(tmpdir(), 'facellm-test-'));
const args = process.argv.slice(2);
const suites = [
  runMocha(folder, args.length > 0 ? args : ['test/**/*.test.ts']),
  ...(args.length === 0 ? [runNative(folder)] : []),
];
rmSync(folder, { recursive: true, force: true });
const total = suites.reduce((a, b) => ({
  passed: a.passed + b.passed,
  failed: a.failed + b.failed,
  skipped: a.skipped + b.skipped,
}));
process.stdout.write(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`);
process.exitCode = total.failed > 0 ? 1 : 0;
