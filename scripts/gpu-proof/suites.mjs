/** The test suites of a proof: kernels under compute-sanitizer, GoogleTest, and those of TypeScript, on the card. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { must, PartError, Skip } from './part.mjs';
import { runCommand } from './run-command.mjs';

const KERNEL_TESTS = ['kernels', 'quantised_product', 'patches', 'low_rank', 'backward'].map(
  (name) => `test/native/${name}_test.cpp`,
);
/** What is quick and touches everything, for a machine that has no card. */
const DRY_SUITES = [
  'test/golden/model.test.ts',
  'test/golden/training.test.ts',
  'test/property/caches.test.ts',
];
const SUITES = [
  ...['model', 'layouts', 'adapters', 'training', 'train-run', 'quantised', 'quantised-files'].map(
    (name) => `test/golden/${name}.test.ts`,
  ),
  'test/property/**/*.test.ts',
];
/** Tools of compute-sanitizer, in their order of use, and the share of the part's time that each may take. */
const TOOLS = /** @type {const} */ ([
  ['memcheck', 0.6],
  ['racecheck', 0.4],
]);

/** Names of GoogleTest's suites in a source. @param {string} source */
export function suitesIn(source) {
  return [
    ...new Set([...source.matchAll(/^TEST(?:_F|_P)?\((\w+),/gm)].map(([, name = '']) => name)),
  ];
}

/** @param {readonly string[]} lines of GoogleTest's output @returns {string[]} */
export function countsOf(lines) {
  return lines
    .map((line) => /^\[ {2}(?:PASSED|SKIPPED|FAILED) +\] \d+ tests?/.exec(line)?.[0] ?? '')
    .filter((line) => line !== '')
    .map((line) => line.replace(/[[\]]/g, '').trim().replace(/ +/g, ' ').toLowerCase());
}

/** @param {import('./report.mjs').Findings} findings */
const pretends = ({ isDryRun, device }) => isDryRun && device === 'cuda';

/** @param {import('./part.mjs').Context} context */
function nativeTests({ root, findings }) {
  const suite = pretends(findings) ? 'facellm_pretend_tests' : 'facellm_native_tests';
  const program = join(root, 'build', suite);
  if (!existsSync(program))
    throw new Skip('there are no native tests: the build failed, or no GoogleTest');
  return program;
}

/** @type {import('./part.mjs').Part['run']} */
export async function kernels(context, limitS) {
  const program = nativeTests(context);
  const names = KERNEL_TESTS.flatMap((file) =>
    suitesIn(readFileSync(join(context.root, file), 'utf8')),
  );
  const filter = `--gtest_filter=${names.map((name) => `${name}.*`).join(':')}`;
  const { sanitizer } = context.findings.machine ?? { sanitizer: '' };
  if (sanitizer === '') {
    if (!context.findings.isDryRun) throw new Skip('no compute-sanitizer beside nvcc');
    const { tail } = await must(context, [program, filter, '--gtest_brief=1'], limitS);
    return ['without compute-sanitizer', ...countsOf(tail)];
  }
  const notes = [];
  const problems = [];
  let tail = /** @type {string[]} */ ([]);
  for (const [tool, share] of TOOLS) {
    const command = [sanitizer, '--tool', tool, '--error-exitcode', '9', program, filter];
    const { cwd, env, log } = { cwd: context.root, env: context.env, log: context.log };
    const outcome = await runCommand(command, { cwd, env, log, limitS: limitS * share });
    const found = outcome.tail
      .filter((line) => /SUMMARY/.test(line))
      .map((line) => line.replace(/^=+ ?/, ''));
    notes.push([tool, ...found, ...countsOf(outcome.tail)].join(', '));
    if (!outcome.ok) {
      problems.push(`${tool} ${outcome.why}`);
      tail = outcome.tail;
    }
  }
  if (problems.length > 0)
    throw new PartError(`${problems.join('; ')} (${notes.join('; ')})`, tail);
  return notes;
}

/** @type {import('./part.mjs').Part['run']} */
export async function native(context, limitS) {
  const { tail } = await must(context, [nativeTests(context), '--gtest_brief=1'], limitS);
  return countsOf(tail);
}

/** @type {import('./part.mjs').Part['run']} */
export async function typeScript(context, limitS) {
  const { root, findings } = context;
  const counts = `${context.log}.counts`;
  rmSync(counts, { force: true });
  let passed = 0;
  const reporter = join(root, 'scripts', 'spec-and-counts.cjs');
  const files = findings.isDryRun ? DRY_SUITES : SUITES;
  const command = [process.execPath, join(root, 'node_modules', 'mocha', 'bin', 'mocha.js')];
  try {
    await must(context, [...command, '--reporter', reporter, ...files], limitS, {
      env: { FACELLM_TEST_DEVICES: findings.device, FACELLM_COUNTS: counts },
      onLine: (line) => {
        if (/^\s+✔/.test(line)) passed++;
      },
    });
  } catch (error) {
    if (error instanceof PartError)
      throw new PartError(`${error.message}, ${passed} passed`, error.tail);
    throw error;
  }
  const { skipped } = JSON.parse(readFileSync(counts, 'utf8'));
  rmSync(counts);
  const reasons = [...new Set(skipped)].map((reason) => `skipped: ${reason}`);
  return [`${passed} passed on ${findings.device}`, ...reasons];
}
