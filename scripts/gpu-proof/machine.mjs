/** What this machine has: card, driver, tools, Python's packages. Nothing here is needed; what is missing is told. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { dirname } from 'node:path';

/** @param {string} program @param {readonly string[]} args */
function ask(program, args) {
  const run = spawnSync(program, args, { encoding: 'utf8', timeout: 60_000 });
  return run.status === 0 ? run.stdout.trim() : '';
}

const PACKAGES = `
import json
from importlib.metadata import version, PackageNotFoundError
found = {}
for name in ("torch", "transformers", "peft"):
    try: found[name] = version(name)
    except PackageNotFoundError: pass
print(json.dumps(found))
`;

/**
 * @typedef {object} Card
 * @property {string} name
 * @property {string} capability such as 9.0
 * @property {string} driver
 * @property {string} memory
 */

/**
 * @typedef {object} Machine
 * @property {Card | undefined} card the first one
 * @property {string} cpu
 * @property {number} cores
 * @property {number} memoryBytes
 * @property {string} python
 * @property {Record<string, string>} packages of that Python
 * @property {string} nvcc version, '' where there is none
 * @property {string} sanitizer path of compute-sanitizer, ''
 * @property {string} cmake
 */

/** @param {string} line of nvidia-smi's CSV @returns {Card | undefined} */
export function parseCard(line) {
  const [name = '', capability = '', driver = '', memory = ''] = line
    .split(',')
    .map((x) => x.trim());
  return /^\d+\.\d+$/.test(capability) ? { name, capability, driver, memory } : undefined;
}

/** CMake's name of machine code for one card alone; 9.0 with its own instructions. @param {string} capability */
export function architectureOf(capability) {
  return capability === '9.0' ? '90a-real' : `${capability.replace('.', '')}-real`;
}

/** @param {NodeJS.ProcessEnv} env @returns {Machine} */
export function describeMachine(env) {
  const query = [
    '--query-gpu=name,compute_cap,driver_version,memory.total',
    '--format=csv,noheader',
  ];
  const python = env.FACELLM_PROOF_PYTHON ?? 'python3';
  const toolkit = '/usr/local/cuda/bin';
  const nvcc = existsSync(`${toolkit}/nvcc`) ? `${toolkit}/nvcc` : ask('which', ['nvcc']);
  const sanitizers = [`${dirname(nvcc)}/compute-sanitizer`, ask('which', ['compute-sanitizer'])];
  return {
    card: parseCard(ask('nvidia-smi', query).split('\n')[0] ?? ''),
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryBytes: totalmem(),
    python,
    packages: JSON.parse(ask(python, ['-c', PACKAGES]) || '{}'),
    nvcc: /release [\d.]+/.exec(nvcc === '' ? '' : ask(nvcc, ['--version']))?.[0] ?? '',
    sanitizer:
      nvcc === '' ? '' : (sanitizers.find((path) => path !== '' && existsSync(path)) ?? ''),
    cmake: ask('cmake', ['--version']).split('\n')[0] ?? '',
  };
}
