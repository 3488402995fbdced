/**
 * The units of native/kernels/cpu are compiled for processors that not everybody has: what a linker could take from them
 * for others (weak symbols, inline functions of shared headers) would stop a smaller processor.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';

import { skip } from '../support/skip.js';

const ROOT = join(import.meta.dirname, '..', '..');
const UNITS = [
  ...['scalar', 'avx2', 'avx512'].flatMap((unit) => [unit, `${unit}_quantised`]),
  ...['scalar_attention', 'avx2_attention', 'avx512_attention'],
  ...['scalar_rows', 'avx2_rows', 'avx512_rows'],
];
const SHARED = [
  ...['cpu_kernels.h', 'quantised_kernels.h', 'quantised_common.h'],
  ...[
    'attention_common.h',
    'attention_kernels.h',
    'avx2_common.h',
    'avx2_float_codes.h',
    'avx2_packing.h',
    'avx2_quantised_panels.h',
    'avx512_common.h',
    'bf16_bits.h',
    'float_codes_common.h',
    'prefetch.h',
  ],
  ...[
    'row_kernels.h',
    'row_kernels_common.h',
    'row_lanes.h',
    'low_rank_common.h',
    'row_backward_common.h',
  ],
  // Numbers alone, which a GPU's kernels have, too.
  '../common/weight_blocks.h',
];

describe('contract: units of kernels/cpu', () => {
  for (const unit of UNITS) {
    it(`${unit}.cpp includes intrinsics and plain C alone`, () => {
      const folder = join(ROOT, 'native', 'kernels', 'cpu');
      const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
      const includes = [read(`${unit}.cpp`), ...SHARED.map(read)].flatMap((text) =>
        [...text.matchAll(/^#include (.*)$/gm)].map((match) => match[1]),
      );
      const allowed = [
        ...['<immintrin.h>', '<cstdint>', '<cstddef>'],
        ...SHARED.map((name) => `"${posix.join('kernels/cpu', name)}"`),
      ];
      assert.deepEqual(
        includes.filter((name) => name === undefined || !allowed.includes(name)),
        [],
      );
    });

    it(`${unit}.cpp has nothing that a linker could share`, function () {
      const object = join(
        ...[ROOT, 'build', 'CMakeFiles', 'facellm_kernels.dir', 'native', 'kernels', 'cpu'],
        `${unit}.cpp.o`,
      );
      if (!existsSync(object)) return skip(this, 'no build of this checkout');
      const nm = spawnSync('nm', [object], { encoding: 'utf8' });
      if (nm.error !== undefined) return skip(this, 'no nm');
      const symbols = nm.stdout.trim().split('\n');
      assert.ok(
        symbols.some((line) => / [DRB] .*(Kernels|Quantised|Attention|Rows)/.test(line)),
        nm.stdout,
      );
      assert.deepEqual(
        symbols.filter((line) => / [WwVvu] /.test(line)),
        [],
      );
    });
  }
});
