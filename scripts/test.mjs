/**
 * `npm test`: sets up what is missing, then runs every mocha suite and, where GoogleTest is found or can be
 * fetched, the native ones; `npm test -- FILE...` runs those suites alone. Ends with what was skipped and why,
 * and one line, 'N passed, N failed, N skipped', over all of them.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { findGoogleTest } from './find-googletest.mjs';
import { findLibtorch } from './install/find-libtorch.mjs';
import { runBuild } from './install/run-build.mjs';
import { ROOT, setUp } from './setup.mjs';

/** @typedef {{ passed: number, failed: number, skipped: readonly string[] }} Counts skipped: the reason of each */

/**
 * @param {string} folder
 * @param {readonly string[]} args
 * @param {Readonly<Record<string, string>>} [variables] of the environment
 * @returns {Counts}
 */
function runMocha(folder, args, variables = {}) {
  const report = join(folder, 'mocha.json');
  rmSync(report, { force: true });
  const run = spawnSync(
    process.execPath,
    [
      join(ROOT, 'node_modules', 'mocha', 'bin', 'mocha.js'),
      '--reporter',
      join(ROOT, 'scripts', 'spec-and-counts.cjs'),
      ...args,
    ],
    { cwd: ROOT, stdio: 'inherit', env: { ...process.env, FACELLM_COUNTS: report, ...variables } },
  );
  if (!existsSync(report)) {
    process.stderr.write(`mocha ended without a report (status ${run.status})\n`);
    return { passed: 0, failed: 1, skipped: [] };
  }
  const counts = JSON.parse(readFileSync(report, 'utf8'));
  // A suite that breaks outside of any test must not count as a success.
  return run.status !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}

/** The suites of GoogleTest: each room of native/, and the CUDA kernels run on the CPU. */
const NATIVE_SUITES = ['facellm_native_tests', 'facellm_kernel_tests'];

/**
 * Beside a CPU libtorch: GoogleTest's suite once more on the pretend CUDA device, and these of mocha (docs/gpu.md). All of
 * them run with `npm run test:pretend`.
 */
const PRETEND_SUITES = ['test/golden/model.test.ts', 'test/golden/layouts.test.ts'];

/**
 * @param {string} program
 * @param {string} report where it writes its XML
 * @returns {Counts}
 */
function runGoogleTest(program, report) {
  const run = spawnSync(program, ['--gtest_brief=1', `--gtest_output=xml:${report}`], {
    cwd: ROOT,
    stdio: 'inherit',
    // As lib/binding/load.ts sets it for the addon.
    env: { GOMP_SPINCOUNT: '1000', ...process.env },
  });
  if (!existsSync(report)) return { passed: 0, failed: 1, skipped: [] };
  // Its JSON leaves out why a test skipped itself. XML has `FILE:LINE` before that.
  const text = readFileSync(report, 'utf8');
  const [, tests = '', failures = ''] =
    /<testsuites tests="(\d+)" failures="(\d+)"/.exec(text) ?? [];
  const skipped = [...text.matchAll(/<skipped message="([^"]*)"/g)].map(([, message = '']) => {
    const lines = message.split('&#x0A;').filter((line) => !/:\d+$/.test(line));
    return lines.join(' ').trim().replaceAll('&quot;', '"').replaceAll('&apos;', "'");
  });
  const isWhole = tests !== '' && (run.status === 0 || Number(failures) > 0);
  const failed = Number(failures) + (isWhole ? 0 : 1);
  return { passed: Number(tests) - Number(failures) - skipped.length, failed, skipped };
}

/** @param {string} folder @returns {Promise<Counts[]>} */
async function runNative(folder) {
  const skip = (/** @type {string} */ reason) => [
    { passed: 0, failed: 0, skipped: [`the whole native suite (test/native): ${reason}`] },
  ];
  const libtorch = findLibtorch().found;
  if (!libtorch) return skip('no libtorch');
  const googleTest = findGoogleTest();
  if ('missing' in googleTest) return skip(googleTest.missing);
  // Beside the addon, whose objects it shares: nothing of the engine is compiled twice.
  const build = join(ROOT, 'build');
  const pretends = !libtorch.hasCuda;
  const suites = [...NATIVE_SUITES, ...(pretends ? ['facellm_pretend_tests'] : [])];
  const defines = [
    `FACELLM_PRETEND_CUDA=${pretends ? 'ON' : 'OFF'}`,
    ...[`LIBTORCH_ROOT=${libtorch.root}`, `NODE=${process.execPath}`, 'FACELLM_NATIVE_TESTS=ON'],
    ...googleTest.defines,
  ];
  for (const args of [
    ['-S', ROOT, '-B', build, ...defines.map((define) => `-D${define}`)],
    ['--build', build, '-j', '2', '--target', ...suites, ...(pretends ? ['facellm_pretend'] : [])],
  ]) {
    const { status, output } = await runBuild('cmake', args, ROOT);
    if (status !== 0) {
      process.stderr.write(`${output}\nthe native tests do not build\n`);
      return [{ passed: 0, failed: 1, skipped: [] }];
    }
  }
  const counts = suites.map((suite) =>
    runGoogleTest(join(build, suite), join(folder, `${suite}.xml`)),
  );
  if (!pretends) return counts;
  const addon = join(build, 'Release', 'facellm_pretend.node');
  const variables = { FACELLM_ADDON: addon, FACELLM_TEST_DEVICES: 'cuda' };
  return [...counts, runMocha(folder, PRETEND_SUITES, variables)];
}

/** Each reason once, with how many tests it kept from running. */
function showSkipped(/** @type {readonly string[]} */ reasons) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  if (counts.size > 0) process.stdout.write('skipped:\n');
  for (const [reason, count] of [...counts].sort((a, b) => b[1] - a[1])) {
    process.stdout.write(`${String(count).padStart(5)}  ${reason}\n`);
  }
}

setUp();
const folder = mkdtempSync(join(tmpdir(), 'facellm-test-'));
const args = process.argv.slice(2);
const suites = [
  runMocha(folder, args.length > 0 ? args : ['test/**/*.test.ts']),
  ...(args.length === 0 ? await runNative(folder) : []),
];
rmSync(folder, { recursive: true, force: true });
const total = suites.reduce((a, b) => ({
  passed: a.passed + b.passed,
  failed: a.failed + b.failed,
  skipped: [...a.skipped, ...b.skipped],
}));
showSkipped(total.skipped);
process.stdout.write(
  `${total.passed} passed, ${total.failed} failed, ${total.skipped.length} skipped\n`,
);
process.exitCode = total.failed > 0 ? 1 : 0;
