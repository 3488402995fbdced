/**
 * Compiles the addon into build/Release/facellm.node: the one way, reached from `npm install`,
 * `facellm build` and node-gyp. Does nothing when sources and libtorch are those of the last build.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, freemem } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { fetchLibtorch } from './fetch-libtorch.mjs';
import { findLibtorch } from './find-libtorch.mjs';
import { InstallError, say, sayError } from './report.mjs';
import { reasonsOf, runBuild } from './run-build.mjs';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const ADDON = join(ROOT, 'build', 'Release', 'facellm.node');
const STAMP = join(ROOT, 'build', 'facellm-build.json');
/** Peak of one compiler process with ATen's headers, with room to spare. */
const BYTES_A_JOB = 1.3e9;

/** @param {string} folder @returns {string[]} */
function listFiles(folder) {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

/**
 * Hash of all that a build depends on.
 *
 * @param {import('./find-libtorch.mjs').Libtorch} libtorch
 * @param {readonly string[]} defines
 */
function fingerprint(libtorch, defines) {
  const hash = createHash('sha256');
  const files = [
    ...listFiles(join(ROOT, 'native')),
    ...listFiles(join(ROOT, 'cmake')),
    join(ROOT, 'CMakeLists.txt'),
  ];
  for (const file of files.sort()) hash.update(file.slice(ROOT.length)).update(readFileSync(file));
  return hash.update(JSON.stringify([libtorch, defines, process.arch])).digest('hex');
}

function isCurrent(/** @type {string} */ print) {
  if (!existsSync(ADDON) || !existsSync(STAMP)) return false;
  try {
    return JSON.parse(readFileSync(STAMP, 'utf8')).fingerprint === print;
  } catch {
    return false; // a stamp cut short by a crash
  }
}

/** Names every missing tool at once. */
function checkTools() {
  const tools = [
    {
      name: 'cmake',
      args: ['--version'],
      remedy: 'CMake 3.24 or newer (Debian: apt-get install cmake)',
    },
    {
      name: process.env.CXX ?? 'c++',
      args: ['--version'],
      remedy: 'a C++20 compiler (Debian: apt-get install g++)',
    },
  ];
  const missing = tools.filter(
    ({ name, args }) => spawnSync(name, args, { stdio: 'ignore' }).status !== 0,
  );
  const hasRunner = ['ninja', 'make'].some(
    (name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0,
  );
  const details = missing.map(({ name, remedy }) => `${name} cannot be run: install ${remedy}`);
  if (!hasRunner)
    details.push('neither ninja nor make can be run: install one (Debian: apt-get install make)');
  if (details.length > 0) {
    throw new InstallError(
      'FACELLM_BUILD_FAILED',
      'tools for compiling the addon are missing',
      details,
    );
  }
}

/** @param {import('./find-libtorch.mjs').Libtorch} libtorch @param {readonly string[]} defines */
async function compile(libtorch, defines) {
  const jobs = Math.max(1, Math.min(availableParallelism(), Math.floor(freemem() / BYTES_A_JOB)));
  const cmakeJs = createRequire(import.meta.url).resolve('cmake-js/bin/cmake-js');
  say(
    `compiling against libtorch ${libtorch.version} (${libtorch.hasCuda ? 'CUDA' : 'CPU'}) with ${jobs} job(s); a first build takes minutes`,
  );
  const startedAt = Date.now();
  // `compile` alone would keep the values of an earlier configuration.
  for (const command of ['configure', 'compile']) {
    const { status, output } = await runBuild(
      process.execPath,
      // Only the addon: this folder may also know the native tests (scripts/test.mjs).
      [
        cmakeJs,
        command,
        '-d',
        ROOT,
        '-p',
        String(jobs),
        '-T',
        'facellm',
        ...defines.map((define) => `--CD${define}`),
      ],
      ROOT,
    );
    mkdirSync(join(ROOT, 'build'), { recursive: true });
    const log = join(ROOT, 'build', `facellm-${command}.log`);
    writeFileSync(log, output);
    if (status !== 0) {
      throw new InstallError(
        'FACELLM_BUILD_FAILED',
        `compiling failed; the whole log is ${log}`,
        reasonsOf(output),
      );
    }
  }
  say(`compiled in ${Math.round((Date.now() - startedAt) / 1000)} s`);
}

/** @param {{ force?: boolean }} [options] */
export async function build(options = {}) {
  const { steps, found } = findLibtorch();
  const outcomes = steps.map(({ place, outcome }) => `${place}: ${outcome}`);
  if (!found && process.env.FACELLM_LIBTORCH) {
    throw new InstallError(
      'FACELLM_LIBTORCH_NOT_FOUND',
      'FACELLM_LIBTORCH does not name a usable libtorch',
      outcomes,
    );
  }
  const libtorch = found ?? fetchLibtorch(outcomes);
  const cuda =
    process.env.FACELLM_CUDA === '0' ? 'OFF' : process.env.FACELLM_CUDA === '1' ? 'ON' : 'AUTO';
  const { FACELLM_CUDA_ARCHITECTURES: architectures = '' } = process.env;
  const defines = [
    `LIBTORCH_ROOT=${libtorch.root}`,
    `FACELLM_CUDA=${cuda}`,
    `NODE=${process.execPath}`,
    ...(architectures === '' ? [] : [`FACELLM_CUDA_ARCHITECTURES=${architectures}`]),
  ];
  const print = fingerprint(libtorch, defines);
  if (!options.force && isCurrent(print)) return;
  for (const outcome of outcomes) say(outcome);
  checkTools();
  await compile(libtorch, defines);
  if (!existsSync(ADDON))
    throw new InstallError('FACELLM_BUILD_FAILED', `the build ended without ${ADDON}`);
  writeFileSync(STAMP, `${JSON.stringify({ fingerprint: print, libtorch }, null, 2)}\n`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    await build({ force: process.argv.includes('--force') });
  } catch (error) {
    sayError(error);
    process.exitCode = 1;
  }
}
