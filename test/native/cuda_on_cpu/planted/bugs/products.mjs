/** Bugs of products of few rows, of packed weights and of adapters (../bugs.mjs). */
const FEW_ROWS = 'product/few_rows_cuda.cu';
const QUANTISED = 'quantised_product/quantised_product_cuda.cu';
const DEQUANTISE = 'dequantise/dequantise_cuda.cu';
const LOW_RANK = 'low_rank/low_rank_cuda.cu';
const PROJECT = 'low_rank/low_rank_project.cuh';

/** @type {readonly import('../bugs.mjs').Bug[]} */
export const PRODUCTS = [
  {
    name: 'the last rows of the weight are read beyond its end',
    ...{ exercise: 'few_rows', file: FEW_ROWS, faults: ['kOutOfBounds'], at: FEW_ROWS },
    find: 'low = begin + row < s.out ? begin + row : last',
    replace: 'low = begin + row',
  },
  {
    name: "the warps' sums are added before they are there",
    ...{ exercise: 'few_rows', file: FEW_ROWS, faults: ['kRace', 'kUninitialised'], at: FEW_ROWS },
    find: '    __syncthreads();\n    const Bf16* const bias',
    replace: '    const Bf16* const bias',
    says: 'of shared memory',
  },
  {
    name: 'columns of x that do not belong to those of the weight',
    ...{ exercise: 'few_rows', file: FEW_ROWS },
    find: 'early_x[2] = {words.x, words.y}, late_x[2] = {words.z, words.w}',
    replace: 'early_x[2] = {words.x, words.z}, late_x[2] = {words.y, words.w}',
  },
  {
    name: "the sums of a block's next rows are written while these are read",
    ...{ exercise: 'few_rows', file: FEW_ROWS, faults: ['kRace'], at: FEW_ROWS },
    find: "    __syncthreads();  // before the next rows' sums\n",
    replace: '',
    says: 'of shared memory',
  },
  {
    name: 'rows are multiplied before they are normalised',
    ...{ exercise: 'few_rows', file: FEW_ROWS, faults: ['kRace', 'kUninitialised'], at: FEW_ROWS },
    find: '    __syncthreads();\n    x = shared;',
    replace: '    x = shared;',
    says: 'shared memory',
  },
  {
    name: 'every block writes the sum of residual and delta',
    ...{ exercise: 'few_rows', file: FEW_ROWS, faults: ['kRace'], at: 'common/norm_rows.cuh' },
    find: 'blockIdx.x == 0 && norm.sum != nullptr',
    replace: 'norm.sum != nullptr',
  },
  {
    name: 'values are rotated',
    ...{ exercise: 'few_rows', file: FEW_ROWS },
    find: '  if (!is_value) {\n    const Bf16* const cos',
    replace: '  {\n    const Bf16* const cos',
  },
  {
    name: 'the last step of a packed weight is taken once more',
    ...{ exercise: 'quantised', file: QUANTISED, faults: ['kOutOfBounds'], at: QUANTISED },
    find: 'if (kIsDeep && next < steps) fetch(i, next);',
    replace: 'if (kIsDeep && next < steps + 8) fetch(i, next);',
  },
  {
    name: 'rows of x that are not there are read',
    ...{ exercise: 'quantised', file: QUANTISED, faults: ['kOutOfBounds'], at: QUANTISED },
    find: 'if (x_row < s.rows) {',
    replace: 'if (x_row < s.rows + 8) {',
  },
  {
    name: "the warps' sums of packed weights are added before they are there",
    ...{
      exercise: 'quantised',
      file: QUANTISED,
      faults: ['kRace', 'kUninitialised'],
      at: QUANTISED,
    },
    find: '  __syncthreads();\n  // The sum of one half',
    replace: '  // The sum of one half',
    says: 'of shared memory',
  },
  {
    name: 'rows of a packed weight that have changed places',
    ...{ exercise: 'quantised', file: QUANTISED },
    find: 'pairs[2 * m][p], pairs[2 * m + 1][p]',
    replace: 'pairs[2 * m + 1][p], pairs[2 * m][p]',
  },
  {
    name: 'columns behind the last one are written',
    ...{
      exercise: 'dequantise',
      file: DEQUANTISE,
      faults: ['kOutOfBounds', 'kRace'],
      at: DEQUANTISE,
    },
    find: 'if (column >= s.inner) continue;',
    replace: 'if (column >= s.inner + 4) continue;',
  },
  {
    name: "the warps' sums of a rank are added before they are there",
    ...{
      exercise: 'low_rank',
      file: PROJECT,
      faults: ['kRace', 'kUninitialised'],
      at: PROJECT,
    },
    find: '] = own;\n  __syncthreads();',
    replace: '] = own;',
    says: 'of shared memory low_rank_project_kernel',
  },
  {
    name: "another warp's row of u is used before it is there",
    ...{
      exercise: 'low_rank',
      file: LOW_RANK,
      faults: ['kRace', 'kUninitialised'],
      at: LOW_RANK,
    },
    find: '  __syncthreads();\n  for (int p = first_part;',
    replace: '  for (int p = first_part;',
    says: 'of shared memory low_rank_expand_kernel',
  },
  {
    name: 'ranks behind the last one are stored',
    ...{ exercise: 'low_rank', file: PROJECT, faults: ['kOutOfBounds', 'kRace'], at: PROJECT },
    find: 'if (r >= tile.rows || rank >= ranks) return;',
    replace: 'if (r >= tile.rows) return;',
  },
  {
    name: "a row of A behind the group's is multiplied",
    ...{ exercise: 'low_rank', file: PROJECT, faults: ['kOutOfBounds'], at: PROJECT },
    find: 'first_rank + j < ranks ? first_rank + j : ranks - 1',
    replace: 'first_rank + j',
  },
  {
    name: 'a rank that fills no eight is read as if it did',
    ...{
      exercise: 'low_rank',
      file: LOW_RANK,
      faults: ['kMisaligned', 'kOutOfBounds'],
      at: 'common/eights.cuh',
    },
    find: 'if (parts.parts[p].is_whole) {',
    replace: 'if (parts.parts[p].rank > 0) {',
  },
  {
    name: 'the rounding after a part is forgotten',
    ...{ exercise: 'low_rank', file: LOW_RANK },
    find: 'cuda::round_to<T>(gains != nullptr ? __fmaf_rn(sum, gain, shift) : sum)',
    replace: '(gains != nullptr ? __fmaf_rn(sum, gain, shift) : sum)',
  },
  {
    name: 'the bias is scaled with the rest',
    ...{ exercise: 'low_rank', file: LOW_RANK },
    find: 'gains != nullptr && bias != nullptr ? cuda::load(bias + column) : 0.f',
    replace: '0.f',
  },
  {
    name: 'of parts that meet the first alone is added',
    ...{ exercise: 'low_rank', file: LOW_RANK },
    find: 'own[r] = cuda::round_to<T>(gains',
    replace: 'own[r] = cuda::round_to<T>(p > first_part ? own[r] : gains',
  },
];
