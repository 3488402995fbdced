/**
 * `node scripts/check-ptxas.mjs SOURCE DYNAMIC LIMIT < OUTPUT`: reads what `nvcc -Xptxas -v` printed, demangled, for a source whose
 * launches ask for DYNAMIC bytes of shared memory at most. A line a kernel; fails where registers spill, where a kernel
 * has local memory (an array that is indexed by a variable, mostly), or where its shared memory exceeds LIMIT.
 */
import { readFileSync } from 'node:fs';

/** @typedef {{ kernel: string, arch: string, registers: number, shared: number, stack: number, spilled: number }} Kernel */

/** @param {string} output @returns {Kernel[]} */
function kernelsOf(output) {
  const parts = output.split('Compiling entry function ').slice(1);
  return parts.map((part) => {
    const number = (/** @type {RegExp} */ pattern) => Number(pattern.exec(part)?.[1] ?? 0);
    const [, symbol = '?', arch = '?'] = /^'([^']*)' for '([^']*)'/.exec(part) ?? [];
    return {
      // Of "void a::b<c>(d)" remains "b<c>", of "(type)1" among what c is the number.
      kernel:
        /(\w+(?:<[^(]*>)?)\(/.exec(
          symbol.replaceAll(/\((?:anonymous namespace|[\w:]+)\)(?=\d|::)/g, ''),
        )?.[1] ?? symbol,
      arch,
      registers: number(/Used (\d+) registers/),
      shared: number(/(\d+) bytes smem/),
      stack: number(/(\d+) bytes stack frame/),
      spilled: number(/(\d+) bytes spill stores/) + number(/(\d+) bytes spill loads/),
    };
  });
}

const [source = '', dynamic = '0', limit = '0'] = process.argv.slice(2);
const kernels = kernelsOf(readFileSync(0, 'utf8'));
const problems = kernels.length === 0 ? [`${source}: ptxas named no kernel`] : [];
for (const { kernel, arch, registers, shared, stack, spilled } of kernels) {
  const all = shared + Number(dynamic);
  process.stdout.write(
    `  ${arch} ${kernel}: ${registers} registers, ${all} bytes of shared memory\n`,
  );
  const at = `${source}: ${kernel} for ${arch}`;
  if (spilled > 0) problems.push(`${at} spills ${spilled} bytes of registers`);
  if (stack > 0) problems.push(`${at} has ${stack} bytes of local memory`);
  if (all > Number(limit)) {
    problems.push(
      `${at} takes ${shared} static and ${dynamic} dynamic bytes of shared memory; at most ${limit}`,
    );
  }
}
for (const problem of problems) process.stderr.write(`${problem}\n`);
process.exitCode = problems.length > 0 ? 1 : 0;
