/**
 * Looks for libtorch where it may already be: FACELLM_LIBTORCH, the torch of the python3 on PATH, the
 * project's cache. Each step says what it found or why it failed; nothing is fetched here.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/** Minor versions of libtorch 2 that the sources are written for. */
export const SUPPORTED_MINORS = /** @type {const} */ ([11, 14]);

/**
 * @typedef {object} Libtorch
 * @property {string} root folder with include/ and lib/
 * @property {string} version such as 2.13.0
 * @property {boolean} hasCuda
 */

/**
 * @typedef {object} SearchStep
 * @property {string} place
 * @property {string} outcome what was found, or why not
 * @property {Libtorch} [found]
 */

/** @param {NodeJS.ProcessEnv} [env] */
export function cacheFolder(env = process.env) {
  return join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'facellm', 'libtorch');
}

/**
 * @param {string} root
 * @returns {{ libtorch: Libtorch } | { problem: string }}
 */
export function inspect(root) {
  const header = join(root, 'include', 'torch', 'headeronly', 'version.h');
  if (!existsSync(root)) return { problem: `${root} does not exist` };
  if (!existsSync(header)) return { problem: `${root} has no include/torch/headeronly/version.h` };
  const text = readFileSync(header, 'utf8');
  const [major, minor, patch] = ['MAJOR', 'MINOR', 'PATCH'].map((part) =>
    Number(new RegExp(`#define TORCH_VERSION_${part} (\\d+)`).exec(text)?.[1] ?? NaN),
  );
  const version = `${major}.${minor}.${patch}`;
  const [least, most] = SUPPORTED_MINORS;
  if (major !== 2 || !(Number(minor) >= least && Number(minor) <= most)) {
    return { problem: `${root} is libtorch ${version}; 2.${least} to 2.${most} are supported` };
  }
  const libraries = ['libtorch.so', 'libtorch_cpu.so', 'libc10.so'];
  const missing = libraries.filter((name) => !existsSync(join(root, 'lib', name)));
  if (missing.length > 0) return { problem: `${root}/lib lacks ${missing.join(', ')}` };
  return {
    libtorch: { root, version, hasCuda: existsSync(join(root, 'lib', 'libtorch_cuda.so')) },
  };
}

/**
 * @param {string} place
 * @param {string} root
 * @returns {SearchStep}
 */
function tryFolder(place, root) {
  const result = inspect(root);
  if ('problem' in result) return { place, outcome: result.problem };
  const { version, hasCuda } = result.libtorch;
  const outcome = `libtorch ${version}, ${hasCuda ? 'with' : 'without'} CUDA, in ${root}`;
  return { place, outcome, found: result.libtorch };
}

/** @returns {SearchStep} */
function tryPython() {
  const place = 'torch of the python3 on PATH';
  // find_spec does not import: importing torch takes seconds and may fail for reasons of its own.
  const code =
    "import importlib.util as u; s = u.find_spec('torch'); print(list(s.submodule_search_locations)[0] if s else '')";
  const run = spawnSync('python3', ['-c', code], { encoding: 'utf8', timeout: 30_000 });
  if (run.error) return { place, outcome: `python3 cannot be run (${run.error.message})` };
  const root = run.stdout.trim();
  if (run.status !== 0)
    return { place, outcome: `python3 failed: ${run.stderr.trim().split('\n').at(-1)}` };
  return root === '' ? { place, outcome: 'this python3 has no torch' } : tryFolder(place, root);
}

/** @param {NodeJS.ProcessEnv} env @returns {SearchStep} */
function tryCache(env) {
  const place = "the project's cache";
  const folder = cacheFolder(env);
  if (!existsSync(folder)) return { place, outcome: `${folder} does not exist` };
  // Newest version first.
  const names = readdirSync(folder).filter((name) => /^\d/.test(name));
  names.sort((a, b) => b.localeCompare(a, 'en', { numeric: true }));
  const steps = names.map((name) => tryFolder(place, join(folder, name, 'torch')));
  return steps.find((step) => step.found) ?? steps[0] ?? { place, outcome: `${folder} is empty` };
}

/**
 * Runs the steps in order and stops at the first success.
 *
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {{ steps: SearchStep[], found: Libtorch | undefined }}
 */
export function findLibtorch(env = process.env) {
  /** @type {SearchStep[]} */
  const steps = [];
  const given = env.FACELLM_LIBTORCH;
  steps.push(
    given
      ? tryFolder('FACELLM_LIBTORCH', resolve(given))
      : { place: 'FACELLM_LIBTORCH', outcome: 'is not set' },
  );
  // A folder that was named and is wrong is an error, not a hint to look elsewhere.
  if (!given) {
    steps.push(tryPython());
    if (!steps.at(-1)?.found) steps.push(tryCache(env));
  }
  return { steps, found: steps.at(-1)?.found };
}
