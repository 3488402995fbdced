/** `facellm doctor`: everything it must tell, a remedy for all that is missing, and the parity self-test. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');

interface Report {
  readonly healthy: boolean;
  readonly findings: readonly { name: string; found: string; state: string; remedy?: string }[];
  readonly parity: readonly {
    device: string;
    stages: number;
    worstError: number;
    tolerance: number;
    passed: boolean;
  }[];
}

function doctor(env: Record<string, string> = {}, args: readonly string[] = []) {
  const main = join(ROOT, 'dist', 'cli', 'main.js');
  const run = spawnSync(process.execPath, [main, 'doctor', '--json', ...args], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  return { status: run.status, report: JSON.parse(run.stdout) as Report };
}

describe('doctor', () => {
  it('tells all there is to know, and computes what the reference computed', () => {
    const { status, report } = doctor();
    const names = report.findings.map(({ name }) => name);
    for (const name of ['node', 'C++ compiler', 'CMake', 'CUDA toolkit', 'NVIDIA driver']) {
      assert.ok(names.includes(name), name);
    }
    for (const name of ['addon', 'CPU', 'threads', 'libtorch: FACELLM_LIBTORCH']) {
      assert.ok(names.includes(name), name);
    }
    const cpu = report.findings.find(({ name }) => name === 'CPU');
    assert.match(
      cpu?.found ?? '',
      /^level (scalar|avx2|avx512|amx), .*; bf16: (AVX512-BF16|AMX-BF16|no hardware for it|libtorch's own)/,
    );
    const found = (name: string) => report.findings.find((one) => one.name === name)?.found ?? '';
    assert.match(
      found('products of bf16 weights'),
      /^packed weights, kernels for (avx2|avx512|amx), of (up to \d+ rows|any)|^libtorch's$/,
    );
    assert.match(found('kernels'), /^add_rms_norm, .*swiglu; /);
    assert.match(
      found('attention on cpu'),
      /^a picture: (flash|composed); a prompt: .*; a token: (flash|composed)/,
    );
    const parity = report.parity.find(({ device }) => device === 'cpu');
    assert.ok(parity !== undefined && parity.stages > 10);
    assert.ok(parity.passed && parity.worstError <= parity.tolerance && parity.tolerance <= 1e-4);
    assert.equal(status, report.healthy ? 0 : 1);
  });

  it('names the level that FACELLM_CPU_ISA holds it to, what becomes of bf16, and a level it does not know', () => {
    const { report } = doctor({ FACELLM_CPU_ISA: 'avx2' });
    const cpu = report.findings.find(({ name }) => name === 'CPU')?.found ?? '';
    assert.match(cpu, /^level (scalar|avx2) \(at most avx2, FACELLM_CPU_ISA\)/);
    if (process.arch === 'x64') assert.match(cpu, /64 rows and more are computed in fp32/);
    const products = (isa: string): string =>
      doctor({ FACELLM_CPU_ISA: isa }).report.findings.find(
        ({ name }) => name === 'products of bf16 weights',
      )?.found ?? '';
    assert.equal(products('scalar'), "libtorch's");
    assert.match(products('avx2'), /kernels for avx2|libtorch's/);
    const wrong = doctor({ FACELLM_CPU_ISA: 'sse9' });
    assert.equal(wrong.status, 1);
    const finding = wrong.report.findings.find(({ found }) => found.includes('FACELLM_CPU_ISA'));
    assert.match(finding?.found ?? '', /expected scalar, avx2, avx512 or amx, got 'sse9'/);
  });

  it('tells what a checkpoint would take, and that it does not fit, with the numbers', () => {
    const model = join(ROOT, 'golden', 'ckpt-300m');
    const memory = (...args: string[]) => {
      const { report } = doctor({}, ['--model', model, '--device', 'cpu', ...args]);
      const own = report.findings.find(({ name }) => name.startsWith('memory of '));
      assert.ok(report.findings.some(({ name }) => name === 'memory'));
      return own ?? assert.fail('the model is not told of');
    };
    const fits = memory('--max-context', '1000', '--max-rows', '3');
    assert.equal(fits.state, 'ok');
    assert.match(
      fits.found,
      /^cpu, (fp32|bf16): [\d.]+ \wiB of weights, [\d.]+ \wiB for keys and values .*; \d+ blocks of 64 tokens, up to 3 answers at a time, 1000 tokens a request$/,
    );
    const large = memory('--kv-memory', '900000GiB');
    assert.equal(large.state, 'missing');
    assert.match(large.found, /kvMemory: \d+ bytes are more than cpu has, \d+; give less/);
    assert.match(memory('--kv-memory', '1').found, /kvMemory: 1 bytes hold 0 tokens/);
  });

  it('has a remedy for everything that is missing', () => {
    const empty = mkdtempSync(join(tmpdir(), 'facellm-doctor-'));
    const { status, report } = doctor({
      PATH: empty,
      XDG_CACHE_HOME: empty,
      FACELLM_LIBTORCH: '',
      FACELLM_ADDON: join(empty, 'nowhere.node'),
    });
    rmSync(empty, { recursive: true });
    assert.equal(status, 1);
    assert.equal(report.healthy, false);
    const missing = report.findings.filter(({ state }) => state === 'missing');
    assert.deepEqual(missing.map(({ name }) => name).sort(), [
      'C++ compiler',
      'CMake',
      'addon',
      'libtorch',
    ]);
    // The steps of the search for libtorch share the remedy of their outcome.
    for (const { name, state, remedy } of report.findings) {
      if (state !== 'ok' && !name.startsWith('libtorch: ')) assert.ok(remedy, name);
    }
  });
});
