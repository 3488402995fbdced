/** `facellm doctor`: what this machine has, what is missing and how to get it, and a parity self-test. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';

import { loadAddon } from '../binding/load.js';
import type { NativeAddon, NativeRuntimeInfo } from '../binding/native.js';
import { FaceLlmError } from '../errors.js';
import { type DoctorFlags, describeMachine, describeModel, type Finding } from './doctor-memory.js';
import { describeError } from './output.js';
import type { ParityReport } from './parity.js';

interface SearchStep {
  readonly place: string;
  readonly outcome: string;
  readonly found?: { readonly root: string };
}

/** First line that a program prints, or undefined if it cannot be run. */
function ask(program: string, args: readonly string[], pattern = /.*/): string | undefined {
  const run = spawnSync(program, args, { encoding: 'utf8', timeout: 20_000 });
  if (run.error !== undefined || run.status !== 0) return undefined;
  return run.stdout
    .split('\n')
    .find((line) => pattern.test(line))
    ?.trim();
}

function tool(name: string, found: string | undefined, needed: boolean, remedy: string): Finding {
  if (found !== undefined) return { name, found, state: 'ok' };
  return { name, found: 'not found', state: needed ? 'missing' : 'absent', remedy };
}

function findNvcc(): string | undefined {
  const usual = '/usr/local/cuda/bin/nvcc';
  return ask(existsSync(usual) ? usual : 'nvcc', ['--version'], /release/);
}

async function findLibtorch(): Promise<Finding[]> {
  const script = new URL('../../scripts/install/find-libtorch.mjs', import.meta.url);
  const { findLibtorch: find } = (await import(script.href)) as {
    findLibtorch: () => { readonly steps: readonly SearchStep[] };
  };
  const { steps } = find();
  const isFound = steps.some((step) => step.found !== undefined);
  const findings: Finding[] = steps.map(({ place, outcome, found }) => ({
    name: `libtorch: ${place}`,
    found: outcome,
    state: found === undefined ? 'absent' : 'ok',
  }));
  if (isFound) return findings;
  const remedy =
    'run `npx facellm build`, which fetches it through pip; or install torch 2.11 to 2.14 for python3; or set FACELLM_LIBTORCH';
  return [...findings, { name: 'libtorch', found: 'not found', state: 'missing', remedy }];
}

/** Who multiplies when a model answers on the CPU in bf16. */
function describeProducts({ productKernels, productRows }: NativeRuntimeInfo): string {
  if (productRows === 0) return "libtorch's";
  const rows =
    productRows < 0
      ? 'of any number of rows'
      : `of up to ${productRows} rows, above that libtorch's`;
  return `packed weights, kernels for ${productKernels}, ${rows}`;
}

function describeRuntime(info: NativeRuntimeInfo): Finding[] {
  const ok = (name: string, found: string): Finding => ({ name, found, state: 'ok' });
  const fast = [
    ...(info.hasAvx512Bf16 ? ['AVX512-BF16'] : []),
    ...(info.cpuLevel === 'amx' ? ['AMX-BF16'] : []),
  ];
  const cap = process.env['FACELLM_CPU_ISA'];
  const bf16 = info.widensBf16
    ? 'no hardware for it, products of 64 rows and more are computed in fp32 and rounded once'
    : fast.join(', ') || "libtorch's own products";
  const findings = [
    ok(
      'addon',
      `facellm ${info.version}, libtorch ${info.libtorch}, ${info.isCudaBuild ? `CUDA for ${info.cudaArchs.join(', ')}` : 'CPU only'}`,
    ),
    ok(
      'CPU',
      `level ${info.cpuLevel}${cap ? ` (at most ${cap}, FACELLM_CPU_ISA)` : ''}, libtorch ${info.cpuCapability}; bf16: ${bf16}`,
    ),
    ok('products of bf16 weights', describeProducts(info)),
    ok('products of weights in 8 and 4 bits', `kernels for ${info.quantisedKernels}`),
    ok('threads', `${info.threads} of ${availableParallelism()} cores`),
  ];
  for (const gpu of info.gpus) {
    const memory = (gpu.memoryBytes / 2 ** 30).toFixed(0);
    findings.push(
      ok('GPU', `${gpu.name}, compute ${gpu.computeMajor}.${gpu.computeMinor}, ${memory} GiB`),
    );
  }
  if (info.isCudaBuild && info.gpus.length === 0) {
    const remedy = 'check the driver with nvidia-smi, and CUDA_VISIBLE_DEVICES';
    findings.push({ name: 'GPU', found: info.gpuProblem, state: 'absent', remedy });
  }
  return findings;
}

/** Operations with a CUDA kernel of our own, by the sources that a build compiles. */
function describeKernels(info: NativeRuntimeInfo): Finding {
  const folder = new URL('../../native/kernels/', import.meta.url);
  const names = readdirSync(folder)
    .filter((name) => existsSync(new URL(`${name}/${name}_cuda.cu`, folder)))
    .sort();
  const where = info.isCudaBuild ? `for ${info.cudaArchs.join(', ')}` : 'not in this build';
  return { name: 'kernels', found: `${names.join(', ')}; ${where}`, state: 'ok' };
}

/** Which of libtorch's attentions answers the product's calls. */
async function describeAttention(addon: NativeAddon, device: string): Promise<Finding> {
  const backends = await addon.attentionBackends(device).promise;
  const found = backends.map(({ call, backend }) => `${call}: ${backend}`).join('; ');
  return { name: `attention on ${device}`, found, state: 'ok' };
}

/** Training in several processes; one process needs none of it. */
function describeBackends(addon: NativeAddon, info: NativeRuntimeInfo): Finding[] {
  const backends = addon.distributedBackends();
  const finding = (name: string, backend: string, package_: string): Finding =>
    backends.includes(backend)
      ? { name, found: backend, state: 'ok' }
      : {
          ...{ name, found: `this build has no ${backend}`, state: 'absent' },
          remedy: `install ${package_}, then run \`npx facellm build --force\``,
        };
  return [
    finding(
      'training on several CPUs',
      'gloo',
      "Gloo's headers (Debian: apt-get install libgloo-dev)",
    ),
    ...(info.isCudaBuild
      ? [finding('training on several GPUs', 'nccl', "torch's nvidia-nccl package")]
      : []),
  ];
}

async function inspectAddon(flags: DoctorFlags): Promise<{
  readonly findings: readonly Finding[];
  readonly parity: readonly ParityReport[];
}> {
  let addon: NativeAddon;
  try {
    addon = loadAddon();
  } catch (error) {
    const remedy = 'run `npx facellm build`';
    return {
      findings: [{ name: 'addon', found: describeError(error), state: 'missing', remedy }],
      parity: [],
    };
  }
  let info: NativeRuntimeInfo;
  try {
    info = await addon.runtimeInfo().promise;
  } catch (error) {
    const remedy = 'mend what it names, then run doctor again';
    return {
      findings: [{ name: 'runtime', found: describeError(error), state: 'missing', remedy }],
      parity: [],
    };
  }
  const { checkParity } = await import('./parity.js');
  const parity: ParityReport[] = [];
  const findings = [
    ...describeRuntime(info),
    describeKernels(info),
    ...describeBackends(addon, info),
    ...(flags.model === undefined ? [] : [await describeModel(addon, info, flags.model, flags)]),
  ];
  for (const device of ['cpu', ...(info.gpus.length > 0 ? ['cuda:0'] : [])]) {
    try {
      findings.push(await describeAttention(addon, device));
      parity.push(await checkParity(addon, device));
    } catch (error) {
      const remedy =
        error instanceof FaceLlmError ? `see docs/errors.md, ${error.code}` : 'please report this';
      findings.push({
        name: `parity on ${device}`,
        found: describeError(error),
        state: 'missing',
        remedy,
      });
    }
  }
  return { findings, parity };
}

/** Resolves to the exit code: 0 if everything needed is there and the self-test passes. */
export async function runDoctor(flags: DoctorFlags): Promise<number> {
  const { findings: inside, parity } = await inspectAddon(flags);
  const cuda = 'only for a GPU: install the CUDA toolkit, then run `npx facellm build`';
  const findings: Finding[] = [
    {
      name: 'node',
      found: `${process.version}, Node-API ${process.versions['napi']}`,
      state: 'ok',
    },
    ...(await findLibtorch()),
    tool(
      'C++ compiler',
      ask(process.env['CXX'] ?? 'c++', ['--version']),
      true,
      'install a C++20 compiler (Debian: g++)',
    ),
    tool('CMake', ask('cmake', ['--version']), true, 'install CMake 3.24 or newer'),
    tool('CUDA toolkit', findNvcc(), false, cuda),
    tool(
      'NVIDIA driver',
      ask('nvidia-smi', ['--query-gpu=driver_version,name', '--format=csv,noheader']),
      false,
      'only for a GPU: install its driver',
    ),
    describeMachine(),
    ...inside,
  ];
  const isHealthy =
    findings.every(({ state }) => state !== 'missing') &&
    parity.length > 0 &&
    parity.every((p) => p.passed);
  if (flags.json) {
    process.stdout.write(`${JSON.stringify({ healthy: isHealthy, findings, parity })}\n`);
    return isHealthy ? 0 : 1;
  }
  const mark = { ok: 'ok     ', absent: 'absent ', missing: 'MISSING' } as const;
  for (const { name, found, state, remedy } of findings) {
    process.stdout.write(`${mark[state]}  ${name}: ${found}\n`);
    if (remedy !== undefined) process.stdout.write(`         -> ${remedy}\n`);
  }
  for (const report of parity) {
    const { device, stages, worstStage, worstError, tolerance, passed } = report;
    process.stdout.write(
      `${passed ? 'ok     ' : 'FAILED '}  parity on ${device}: ${stages} stages against transformers, worst ` +
        `${worstError.toExponential(1)} (${worstStage}), tolerance ${tolerance}\n`,
    );
  }
  process.stdout.write(
    isHealthy
      ? 'All is well.\n'
      : `Something is missing; see ${fileURLToPath(new URL('../../docs/errors.md', import.meta.url))}.\n`,
  );
  return isHealthy ? 0 : 1;
}
