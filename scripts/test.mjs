/**
 * `npm test`: sets up what is missing, then runs every mocha suite and, where GoogleTest is found or can be
 * fetched, the native ones; `npm test -- FILE...` runs those suites alone. Ends with what was skipped and why,
 * and one line, 'N passed, N failed, N skipped', over all of them.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';

import { findGoogleTest } from './find-googletest.mjs';
import { findLibtorch } from './install/find-libtorch.mjs';
import { ROOT, setUp } from './setup.mjs';

/**
 * @typedef {{ passed: number, failed: number, skipped: readonly string[], output?: string }} Counts skipped: the reason of each;
 * the output of what ran beside others
 */

/**
 * Runs a command of this project; what runs beside the suites of mocha lets them go first, and shows what it printed when it has ended.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ variables?: Readonly<Record<string, string>>, isBeside?: boolean }} [how] variables of the environment
 * @returns {Promise<{ status: number, output: string }>} the status is 1 where it cannot be run; the output of one beside
 */
function execute(command, args, { variables = {}, isBeside = false } = {}) {
  return new Promise((resolve) => {
    /** @type {import('node:child_process').StdioOptions} */
    const stdio = isBeside ? ['ignore', 'pipe', 'pipe'] : 'inherit';
    const child = spawn(command, args, { cwd: ROOT, stdio, env: { ...process.env, ...variables } });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (/** @type {string} */ text) => (output += text));
    }
    child.on('error', (error) => {
      resolve({ status: 1, output: `${command} cannot be run: ${error.message}\n` });
    });
    child.on('close', (code) => resolve({ status: code ?? 1, output }));
    if (!isBeside || child.pid === undefined) return;
    try {
      setPriority(child.pid, 10);
    } catch {
      // It has ended, or the system has no priorities: then it goes beside the suites as their equal.
    }
  });
}

/**
 * @param {string} report
 * @param {readonly string[]} args
 * @param {Parameters<typeof execute>[2]} [how]
 * @returns {Promise<Counts>}
 */
async function runMocha(report, args, how = {}) {
  const run = await execute(
    process.execPath,
    [
      join(ROOT, 'node_modules', 'mocha', 'bin', 'mocha.js'),
      '--reporter',
      join(ROOT, 'scripts', 'spec-and-counts.cjs'),
      ...args,
    ],
    { ...how, variables: { FACELLM_COUNTS: report, ...how.variables } },
  );
  const { status, output } = run;
  if (!existsSync(report)) {
    process.stderr.write(`mocha ended without a report (status ${status})\n`);
    return { passed: 0, failed: 1, skipped: [], output };
  }
  const counts = JSON.parse(readFileSync(report, 'utf8'));
  // A suite that breaks outside of any test must not count as a success.
  return { ...counts, failed: status !== 0 && counts.failed === 0 ? 1 : counts.failed, output };
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
 * @returns {Promise<Counts>}
 */
async function runGoogleTest(program, report) {
  // As lib/binding/load.ts sets it for the addon.
  const variables = { GOMP_SPINCOUNT: process.env.GOMP_SPINCOUNT ?? '1000' };
  const args = ['--gtest_brief=1', `--gtest_output=xml:${report}`];
  const { status, output } = await execute(program, args, { variables, isBeside: true });
  if (!existsSync(report)) return { passed: 0, failed: 1, skipped: [], output };
  // Its JSON leaves out why a test skipped itself. XML has `FILE:LINE` before that.
  const text = readFileSync(report, 'utf8');
  const [, tests = '', failures = ''] =
    /<testsuites tests="(\d+)" failures="(\d+)"/.exec(text) ?? [];
  const skipped = [...text.matchAll(/<skipped message="([^"]*)"/g)].map(([, message = '']) => {
    const lines = message.split('&#x0A;').filter((line) => !/:\d+$/.test(line));
    return lines.join(' ').trim().replaceAll('&quot;', '"').replaceAll('&apos;', "'");
  });
  const isWhole = tests !== '' && (status === 0 || Number(failures) > 0);
  const failed = Number(failures) + (isWhole ? 0 : 1);
  return { passed: Number(tests) - Number(failures) - skipped.length, failed, skipped, output };
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
    const { status, output } = await execute('cmake', args, { isBeside: true });
    if (status === 0) continue;
    return [
      { passed: 0, failed: 1, skipped: [], output: `${output}\nthe native tests do not build\n` },
    ];
  }
  const counts = [];
  for (const suite of suites) {
    counts.push(await runGoogleTest(join(build, suite), join(folder, `${suite}.xml`)));
  }
  if (!pretends) return counts;
  const addon = join(build, 'Release', 'facellm_pretend.node');
  const variables = { FACELLM_ADDON: addon, FACELLM_TEST_DEVICES: 'cuda' };
  const report = join(folder, 'mocha-pretend.json');
  return [...counts, await runMocha(report, PRETEND_SUITES, { variables, isBeside: true })];
}

/** @param {unknown} error @returns {Counts[]} */
function asFailure(error) {
  const output = `the native suites: ${error instanceof Error ? error.stack : String(error)}\n`;
  return [{ passed: 0, failed: 1, skipped: [], output }];
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
// Most suites of mocha leave a core idle: the native ones are compiled and run beside them.
const native = args.length > 0 ? Promise.resolve([]) : runNative(folder).catch(asFailure);
const files = args.length > 0 ? args : ['test/**/*.test.ts'];
const suites = [await runMocha(join(folder, 'mocha.json'), files), ...(await native)];
for (const { output } of suites) process.stdout.write(output ?? '');
await rm(folder, { recursive: true, force: true });
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
