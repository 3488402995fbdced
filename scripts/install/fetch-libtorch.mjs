/**
 * The last resort: fetches torch's wheel through pip, announced, and keeps what a build needs of it in
 * the project's cache. A CPU wheel unless an NVIDIA driver is there: a toolkit alone cannot run
 * anything, and the CUDA wheels take gigabytes. FACELLM_CUDA=1 asks for CUDA all the same.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { cacheFolder, inspect, SUPPORTED_MINORS } from './find-libtorch.mjs';
import { InstallError, say } from './report.mjs';

const VERSION = '2.13.0';
/** Where an index lacks that version: whatever the sources are written for. */
const ANY_VERSION = `>=2.${SUPPORTED_MINORS[0]},<2.${SUPPORTED_MINORS[1] + 1}`;
export const CPU_INDEX = 'https://download.pytorch.org/whl/cpu';

/** @param {NodeJS.ProcessEnv} env */
function wantsCuda(env) {
  if (env.FACELLM_CUDA !== undefined) return env.FACELLM_CUDA === '1';
  return existsSync('/proc/driver/nvidia/version');
}

/**
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} env
 * @returns {string | undefined} why it failed
 */
function pip(args, env) {
  const run = spawnSync('python3', ['-m', 'pip', ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'inherit', 'pipe'],
    env: { ...env, PIP_DISABLE_PIP_VERSION_CHECK: '1' },
  });
  if (run.error) return `python3 cannot be run (${run.error.message})`;
  if (run.status === 0) return undefined;
  const lines = run.stderr.trim().split('\n');
  return lines.filter((line) => line.startsWith('ERROR')).at(-1) ?? lines.at(-1) ?? 'pip failed';
}

/** Headers, the libraries to link, licences. The CUDA wheel's libraries are all needed. */
const UNPACK = `
import sys, zipfile, fnmatch
wheel, target, cuda = sys.argv[1], sys.argv[2], sys.argv[3] == '1'
keep = ['torch/include/*', '*.dist-info/METADATA', '*.dist-info/licenses/*', '*.dist-info/LICENSE*', '*.dist-info/NOTICE*']
keep += ['torch/lib/*', 'nvidia/*'] if cuda else ['torch/lib/libtorch.so', 'torch/lib/libtorch_cpu.so', 'torch/lib/libc10.so', 'torch/lib/libgomp*']
with zipfile.ZipFile(wheel) as z:
    names = [n for n in z.namelist() if any(fnmatch.fnmatch(n, k) for k in keep)]
    z.extractall(target, names)
`;

/** Prints what a CUDA wheel of torch needs of NVIDIA's; its other dependencies are Python's affair. */
const CUDA_REQUIREMENTS = `
import re, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as z:
    names = z.namelist()
    if 'torch/lib/libtorch_cuda.so' not in names: sys.exit('is a build without CUDA')
    metadata = next(n for n in names if n.endswith('.dist-info/METADATA'))
    for line in z.read(metadata).decode().splitlines():
        found = re.match(r'Requires-Dist: ((?:nvidia|cuda-toolkit)[^;]*)', line)
        if found: print(found[1].replace(' ', ''))
`;

/**
 * Adds the libraries that torch's wheel needs.
 *
 * @param {string} folder
 * @param {NodeJS.ProcessEnv} env
 * @returns {string | undefined} why it failed
 */
function addCudaLibraries(folder, env) {
  const wheel = readdirSync(folder).find((name) => name.startsWith('torch-')) ?? '';
  const run = spawnSync('python3', ['-c', CUDA_REQUIREMENTS, join(folder, wheel)], {
    encoding: 'utf8',
  });
  if (run.status !== 0) return `${wheel} ${run.stderr.trim().split('\n').at(-1)}`;
  const requirements = run.stdout.split('\n').filter((line) => line !== '');
  return pip(['download', '--only-binary=:all:', '-d', folder, ...requirements], env);
}

/**
 * @param {string} temporary
 * @param {boolean} cuda
 * @param {NodeJS.ProcessEnv} env
 * @returns {string[]} wheels
 */
function download(temporary, cuda, env) {
  const wheels = join(temporary, 'wheels');
  const base = ['download', '--only-binary=:all:', '--no-deps', '-d', wheels];
  // For the CPU first wherever pip is configured to look, then torch's own index of CPU wheels.
  const attempts = cuda
    ? [[`torch==${VERSION}`], [`torch${ANY_VERSION}`]]
    : [
        ['--retries', '0', `torch==${VERSION}+cpu`],
        ['--index-url', CPU_INDEX, `torch==${VERSION}`],
      ];
  /** @type {string[]} */
  const failures = [];
  for (const args of attempts) {
    rmSync(wheels, { recursive: true, force: true });
    mkdirSync(wheels);
    let failure = pip([...base, ...args], env);
    // `==` also accepts a local version: an index of CPU wheels answers with one.
    if (failure === undefined && cuda) failure = addCudaLibraries(wheels, env);
    if (failure === undefined) {
      return readdirSync(wheels)
        .filter((name) => /^(torch|nvidia)/.test(name))
        .map((name) => join(wheels, name));
    }
    failures.push(`pip download ${args.at(-1)}: ${failure}`);
  }
  throw new InstallError(
    'FACELLM_LIBTORCH_NOT_FOUND',
    `torch ${VERSION} could not be fetched; install torch 2.11 to 2.14 for the python3 on PATH, or set FACELLM_LIBTORCH`,
    failures,
  );
}

/**
 * @param {readonly string[]} tried outcomes of the earlier steps, for the error
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {import('./find-libtorch.mjs').Libtorch}
 */
export function fetchLibtorch(tried, env = process.env) {
  const cuda = wantsCuda(env);
  const kind = cuda ? 'cuda' : 'cpu';
  if (env.FACELLM_OFFLINE === '1') {
    throw new InstallError(
      'FACELLM_LIBTORCH_NOT_FOUND',
      'no libtorch was found and FACELLM_OFFLINE=1 forbids fetching it; install torch 2.11 to 2.14 for the ' +
        'python3 on PATH, or set FACELLM_LIBTORCH to a folder with include/ and lib/',
      tried,
    );
  }
  say(
    `no libtorch found; fetching torch ${VERSION}+${kind} through pip (${cuda ? 'about 4 GB' : 'about 200 MB'}); FACELLM_OFFLINE=1 forbids this`,
  );
  const cache = cacheFolder(env);
  mkdirSync(cache, { recursive: true });
  // Beside its final place, so that the rename is atomic: a broken fetch is never found later.
  const temporary = mkdtempSync(join(cache, '.fetch-'));
  try {
    const unpacked = join(temporary, 'unpacked');
    for (const wheel of download(temporary, cuda, env)) {
      const run = spawnSync('python3', ['-c', UNPACK, wheel, unpacked, cuda ? '1' : '0'], {
        encoding: 'utf8',
      });
      if (run.status !== 0) {
        throw new InstallError('FACELLM_LIBTORCH_NOT_FOUND', `${wheel} cannot be unpacked`, [
          run.stderr.trim(),
        ]);
      }
    }
    const result = inspect(join(unpacked, 'torch'));
    if ('problem' in result) {
      throw new InstallError('FACELLM_LIBTORCH_NOT_FOUND', 'the fetched wheel is not usable', [
        result.problem,
      ]);
    }
    const name = `${result.libtorch.version}+${kind}`;
    const target = join(cache, name);
    rmSync(target, { recursive: true, force: true });
    renameSync(unpacked, target);
    say(`torch ${name} is in ${target}`);
    return { ...result.libtorch, root: join(target, 'torch') };
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}
