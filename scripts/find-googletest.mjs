/**
 * GoogleTest for the native tests: FACELLM_GTEST_SOURCE, the system's, the project's cache, and last Debian's package,
 * announced and unpacked into that cache: no root is needed.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { cacheFolder } from './install/find-libtorch.mjs';
import { say } from './install/report.mjs';

const PACKAGE = 'libgtest-dev';
const REMEDY = `no GoogleTest (Debian: apt-get install ${PACKAGE}; elsewhere name its sources in FACELLM_GTEST_SOURCE)`;

/** @param {string} command @param {readonly string[]} args @param {string} cwd */
function succeeds(command, args, cwd) {
  return spawnSync(command, args, { cwd, stdio: 'ignore', timeout: 120_000 }).status === 0;
}

/**
 * Leaves the package's files in `target`, with apt's lists as they are, else with lists of its own.
 *
 * @param {string} target
 * @returns {boolean}
 */
function fetchPackage(target) {
  mkdirSync(dirname(target), { recursive: true });
  // Beside its final place, so that the rename is atomic: a broken fetch is never found later.
  const work = mkdtempSync(join(dirname(target), '.fetch-'));
  try {
    mkdirSync(join(work, 'lists', 'partial'), { recursive: true });
    const own = ['-o', `Dir::State::Lists=${join(work, 'lists')}`];
    const quiet = ['-qq', '-o', 'Debug::NoLocking=1', '-o', `Dir::Cache=${join(work, 'cache')}`];
    const download = ['download', PACKAGE];
    const isFetched =
      succeeds('apt-get', [...quiet, ...download], work) ||
      (succeeds('apt-get', [...quiet, ...own, 'update'], work) &&
        succeeds('apt-get', [...quiet, ...own, ...download], work));
    const archive = readdirSync(work).find((name) => name.endsWith('.deb'));
    if (!isFetched || !archive || !succeeds('dpkg', ['-x', archive, 'files'], work)) return false;
    renameSync(join(work, 'files'), target);
    return true;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/**
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {{ defines: string[] } | { missing: string }} what CMake is told, or why there is none
 */
export function findGoogleTest(env = process.env) {
  const source = env.FACELLM_GTEST_SOURCE;
  if (source) return { defines: [`FACELLM_GTEST_SOURCE=${source}`] };
  if (existsSync('/usr/include/gtest/gtest.h')) return { defines: [] };
  const cached = join(dirname(cacheFolder(env)), 'googletest');
  if (!existsSync(cached)) {
    if (env.FACELLM_OFFLINE === '1') {
      return { missing: `${REMEDY}; FACELLM_OFFLINE=1 forbids fetching it` };
    }
    say(`no GoogleTest found; fetching Debian's ${PACKAGE} through apt-get (240 kB)`);
    if (!fetchPackage(cached)) return { missing: REMEDY };
  }
  return { defines: [`CMAKE_PREFIX_PATH=${join(cached, 'usr')}`] };
}
