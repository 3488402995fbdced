/**
 * `npm run bundle`: bundle/facellm-gpu-proof.tar.xz, all that a bare x86-64 GPU machine needs beside python3 with torch, nvcc,
 * CMake and a compiler: node, the packages that building, testing and measuring need, sources, GoogleTest. `./gpu-proof` in it is
 * the one command (scripts/gpu-proof/main.mjs). `--check` unpacks it and runs some of it, with nothing of this tree on the path.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { cacheFolder, findLibtorch } from '../install/find-libtorch.mjs';
import { ROOT, setUp } from '../setup.mjs';
import { closure } from './packages.mjs';

const MOST_BYTES = 60e6;
const ARCHIVE = join(ROOT, 'bundle', 'facellm-gpu-proof.tar.xz');
/** What the proof's programs import: all that runs facellm but cmake-js (the machine has CMake), and what tests need. */
const RUN_TIME = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).dependencies;
const PACKAGES = [
  ...Object.keys(RUN_TIME).filter((name) => name !== 'cmake-js'),
  ...['fast-check', 'mocha', 'tsx'],
];
/** Pictures of the documentation and of the demo, reports of other machines. */
const UNNEEDED = /^(docs\/pictures|benchmarks\/results|examples\/faces)\//;
const COMMAND = `#!/usr/bin/env bash
exec "$(dirname "$(readlink -f "$0")")/bin/node" "$(dirname "$(readlink -f "$0")")/scripts/gpu-proof/main.mjs" "$@"
`;

/** @param {readonly string[]} args */
const git = (args) => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim();

/** @param {string} from @param {string} to @param {(path: string) => boolean} [filter] */
function copy(from, to, filter = () => true) {
  mkdirSync(dirname(to), { recursive: true });
  cpSync(from, to, { recursive: true, verbatimSymlinks: true, filter });
}

/** GoogleTest's sources, or what Debian's package installs, as build.mjs looks for them. @param {string} top */
function addGoogleTest(top) {
  if (existsSync('/usr/src/googletest'))
    return copy('/usr/src/googletest', join(top, 'googletest'));
  const cached = join(dirname(cacheFolder()), 'googletest', 'usr');
  const usr = existsSync('/usr/include/gtest/gtest.h') ? '/usr' : cached;
  const libraries = join('lib', 'x86_64-linux-gnu');
  const parts = [
    ...[
      'include/gtest',
      'include/gmock',
      'cmake/GTest',
      'libgtest.a',
      'libgtest_main.a',
      'libgmock.a',
      'libgmock_main.a',
    ],
  ].map((name) => (name.startsWith('include') ? name : join(libraries, name)));
  for (const part of parts) {
    if (existsSync(join(usr, part))) copy(join(usr, part), join(top, 'googletest', 'usr', part));
  }
}

/** @param {string} stage @returns {string} */
function fill(stage) {
  const top = join(stage, 'facellm');
  for (const path of git(['ls-files', '--cached', '--others', '--exclude-standard']).split('\n')) {
    if (!UNNEEDED.test(path) && existsSync(join(ROOT, path)))
      copy(join(ROOT, path), join(top, path));
  }
  copy(join(ROOT, 'dist'), join(top, 'dist'), (path) => !path.endsWith('.map'));
  const lock = JSON.parse(readFileSync(join(ROOT, 'node_modules', '.package-lock.json'), 'utf8'));
  // Musl's prebuilt libraries are for other systems; a package's own node_modules come with their own entries.
  for (const path of closure(lock.packages, PACKAGES).filter((name) => !/musl/.test(name))) {
    const from = join(ROOT, path);
    if (!existsSync(from)) continue; // an optional package of another system
    copy(
      from,
      join(top, path),
      (file) =>
        !/\.map$|\.d\.[cm]?ts$/.test(file) && !file.slice(from.length).includes('node_modules'),
    );
  }
  copy(process.execPath, join(top, 'bin', 'node'));
  spawnSync('strip', ['--strip-all', join(top, 'bin', 'node')]);
  addGoogleTest(top);
  writeFileSync(join(top, 'COMMIT'), `${git(['describe', '--always', '--dirty'])}\n`);
  writeFileSync(join(top, 'gpu-proof'), COMMAND);
  chmodSync(join(top, 'gpu-proof'), 0o755);
  return top;
}

/** Runs what needs no compiling of the unpacked archive: its packages suffice, and CMake finds what it needs in it. */
function check() {
  const folder = mkdtempSync(join(tmpdir(), 'facellm-unpacked-'));
  try {
    execFileSync('tar', ['-C', folder, '-xJf', ARCHIVE]);
    const top = join(folder, 'facellm');
    const env = { PATH: '/usr/bin:/bin:/usr/local/bin', HOME: process.env.HOME ?? folder };
    const addon = { ...env, FACELLM_ADDON: join(ROOT, 'build', 'Release', 'facellm.node') };
    const node = join(top, 'bin', 'node');
    const mocha = join(top, 'node_modules', 'mocha', 'bin', 'mocha.js');
    const suites = ['test/golden/training.test.ts', 'test/property/caches.test.ts'];
    const job = {
      ...{ title: 'check', directory: join(top, 'golden', 'ckpt-300m'), device: 'cpu' },
      ...{ python: '', baselineDevice: 'cpu', threads: 2, secondsARow: 0.1 },
      ...{ steps: 4, batches: [1, 2, 3] },
    };
    const libtorch = findLibtorch().found?.root ?? '';
    const defines = [`LIBTORCH_ROOT=${libtorch}`, `NODE=${node}`, 'FACELLM_NATIVE_TESTS=ON'];
    /** @type {readonly (readonly [readonly string[], NodeJS.ProcessEnv])[]} */
    const commands = [
      [[node, mocha, '--reporter', 'dot', ...suites], addon],
      [
        [node, '--import=./test/support/tsx.mjs', 'benchmarks/gpu/answers.ts', JSON.stringify(job)],
        addon,
      ],
      [[node, 'dist/cli/main.js', 'doctor'], addon],
      [
        ['cmake', '-S', top, '-B', join(top, 'build'), ...defines.map((define) => `-D${define}`)],
        env,
      ],
    ];
    for (const [[program = '', ...args], own] of commands) {
      execFileSync(program, args, { cwd: top, env: own, stdio: ['ignore', 'ignore', 'inherit'] });
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

setUp();
const stage = mkdtempSync(join(tmpdir(), 'facellm-bundle-'));
try {
  fill(stage);
  mkdirSync(dirname(ARCHIVE), { recursive: true });
  execFileSync('tar', ['-C', stage, '-cJf', ARCHIVE, 'facellm'], {
    env: { ...process.env, XZ_OPT: '-6 -T2' },
  });
} finally {
  rmSync(stage, { recursive: true });
}
const { size } = statSync(ARCHIVE);
process.stdout.write(
  `${ARCHIVE}: ${(size / 1e6).toFixed(1)} MB of at most ${MOST_BYTES / 1e6}; unpack it and run facellm/gpu-proof\n`,
);
if (size > MOST_BYTES) process.exitCode = 1;
if (process.argv.includes('--check')) {
  check();
  process.stdout.write('its packages, its sources and its command work\n');
}
