/** What scripts/check-cuda.sh makes of ptxas' words about a kernel. No nvcc is needed. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const SCRIPT = join(import.meta.dirname, '..', '..', 'scripts', 'check-ptxas.mjs');

/** As nvcc 13.0 prints it, through c++filt. */
function output(stack: number, stores: number, shared: string): string {
  return `ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'void facellm::(anonymous namespace)::norm_kernel<__nv_bfloat16>(__nv_bfloat16 const*, long)' for 'sm_80'
ptxas info    : Function properties for void facellm::(anonymous namespace)::norm_kernel<__nv_bfloat16>(__nv_bfloat16 const*, long)
    ${stack} bytes stack frame, ${stores} bytes spill stores, 0 bytes spill loads
ptxas info    : Used 17 registers, used 1 barriers${shared}, 412 bytes cmem[0]
`;
}

function check(text: string, dynamic = 48896) {
  const run = spawnSync(process.execPath, [SCRIPT, 'norm_cuda.cu', String(dynamic), '49152'], {
    encoding: 'utf8',
    input: text,
  });
  return { status: run.status, stdout: run.stdout, stderr: run.stderr.trim() };
}

describe('contract: what ptxas says of kernels', () => {
  it('names each kernel with its registers and all of its shared memory', () => {
    const { status, stdout } = check(output(0, 0, ', 144 bytes smem'));
    assert.equal(status, 0);
    assert.equal(
      stdout,
      '  sm_80 norm_kernel<__nv_bfloat16>: 17 registers, 49040 bytes of shared memory\n',
    );
    assert.equal(check(output(0, 0, ''), 49152).status, 0);
  });

  it('static and dynamic shared memory beyond the limit, spills, local memory and silence fail', () => {
    const kernel = 'norm_cuda.cu: norm_kernel<__nv_bfloat16> for sm_80';
    for (const [text, dynamic, problem] of [
      [
        output(0, 0, ', 144 bytes smem'),
        49012,
        `${kernel} takes 144 static and 49012 dynamic bytes of shared memory; at most 49152`,
      ],
      [output(0, 8, ''), 0, `${kernel} spills 8 bytes of registers`],
      [output(96, 0, ''), 0, `${kernel} has 96 bytes of local memory`],
      ['', 0, 'norm_cuda.cu: ptxas named no kernel'],
    ] as const) {
      assert.deepEqual(check(text, dynamic), {
        ...check(text, dynamic),
        status: 1,
        stderr: problem,
      });
    }
  });
});
