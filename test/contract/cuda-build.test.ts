/** What CMake says where libtorch and the CUDA toolkit do not fit: no GPU, no nvcc and no real libtorch needed. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');

describe('contract: CUDA at configure time', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-cuda-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** Runs a line of CMake after including the check of versions. */
  function check(needed: string, toolkit: string) {
    const library = join(folder, 'libc10_cuda.so');
    writeFileSync(library, `\x7fELF\0\x01libc10.so\0${needed}\0libc.so.6\0`);
    const script = join(folder, 'check.cmake');
    const module = join(ROOT, 'cmake', 'FacellmCudaVersion.cmake');
    writeFileSync(
      script,
      `include("${module}")\nfacellm_check_cuda_version("${library}" ${toolkit})`,
    );
    const { status, stderr } = spawnSync('cmake', ['-P', script], { encoding: 'utf8' });
    return { status, text: stderr.replace(/\s+/g, ' ') };
  }

  it('a toolkit of another major version than libtorch was built for is refused by both numbers', () => {
    const mixed = check('libcudart.so.12', '13.0.88');
    assert.equal(mixed.status, 1);
    assert.match(mixed.text, /libtorch was built for CUDA 12, the toolkit is 13\.0\.88/);
    assert.match(mixed.text, /install a toolkit 12\.x .* CUDACXX, or a libtorch built for CUDA 13/);
    assert.equal(check('libcudart.so.13', '12.8.93').status, 1);
  });

  it('minor versions may differ, and a runtime linked statically tells nothing', () => {
    assert.equal(check('libcudart.so.12', '12.8.93').status, 0);
    assert.equal(check('libcublas.so.12', '13.0.88').status, 0);
  });

  /** Configures this project beside a folder that looks like a CUDA build of libtorch, without any nvcc. */
  function configure(cuda: string) {
    const root = join(folder, 'torch');
    mkdirSync(join(root, 'include', 'torch', 'headeronly'), { recursive: true });
    mkdirSync(join(root, 'lib'), { recursive: true });
    const header = ['MAJOR 2', 'MINOR 13', 'PATCH 0'].map(
      (part) => `#define TORCH_VERSION_${part}\n`,
    );
    writeFileSync(join(root, 'include', 'torch', 'headeronly', 'version.h'), header.join(''));
    for (const name of ['torch', 'torch_cpu', 'c10', 'torch_cuda', 'c10_cuda']) {
      writeFileSync(join(root, 'lib', `lib${name}.so`), '');
    }
    const run = spawnSync(
      'cmake',
      ['-S', ROOT, '-B', join(folder, 'build'), `-DLIBTORCH_ROOT=${root}`, `-DFACELLM_CUDA=${cuda}`]
        // Only what configuring decides is looked at: the addon's own part needs nothing of libtorch.
        .concat('-DFACELLM_NO_ADDON=ON'),
      { encoding: 'utf8', env: { ...process.env, CUDACXX: join(folder, 'nvcc') } },
    );
    return { status: run.status, text: `${run.stdout}${run.stderr}`.replace(/\s+/g, ' ') };
  }

  it('a CUDA libtorch without nvcc is an error, no silent build for the CPU, unless that is asked for', () => {
    for (const cuda of ['AUTO', 'ON']) {
      const { status, text } = configure(cuda);
      assert.equal(status, 1);
      assert.match(text, /is a CUDA build, and there is no nvcc; install the CUDA toolkit/);
      assert.match(text, /or build for the CPU with FACELLM_CUDA=0/);
    }
    const asked = configure('OFF');
    assert.match(asked.text, /CUDA: switched off/);
    assert.equal(asked.status, 0);
  });
});
