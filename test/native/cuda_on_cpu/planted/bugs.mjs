/**
 * Bugs to plant into the real kernels, each with the report that must come of it. `find` and `replace` are text of `file`
 * (below native/kernels); `exercise` is what runs (planted.h). `faults`: the kinds that may be told, by the order in which
 * threads run; none: the numbers differ, or for a harmless change nothing is told. `at`: the file of the report's line.
 */
const BLOCK_SUM = 'common/cuda_common.cuh';
const NORM = 'add_rms_norm/add_rms_norm_cuda.cu';
const NORM_LIMIT = 'add_rms_norm/add_rms_norm_cuda.h';
const ROTATE = 'common/rotate_pair.cuh';
const ROPE = 'rope_kv_append/rope_kv_append_cuda.cu';
const SWIGLU = 'swiglu/swiglu_cuda.cu';
const SWIGLU_BACKWARD = 'swiglu/swiglu_backward_cuda.cu';
const NORM_BACKWARD = 'add_rms_norm/add_rms_norm_backward_cuda.cu';
const ROPE_BACKWARD = 'rope_kv_append/rope_backward_cuda.cu';
const CROSS_ENTROPY = 'cross_entropy/cross_entropy_cuda.cu';
const CHOOSE = 'choose_tokens/choose_tokens_cuda.cu';
const REDUCE = 'common/block_reduce.cuh';
const PHILOX = 'common/philox.cuh';
const DECODE = 'paged_decode_attention/paged_decode_attention_cuda.cu';
const COMBINE = 'paged_decode_attention/paged_decode_combine.cuh';
const GROUPS = 'paged_decode_attention/paged_decode_groups_cuda.cu';
const FEW_ROWS = 'product/few_rows_cuda.cu';
const QUANTISED = 'quantised_product/quantised_product_cuda.cu';
const DEQUANTISE = 'dequantise/dequantise_cuda.cu';
const PATCHIFY = 'patchify/patchify_cuda.cu';
const EMBED = 'embed_patches/embed_patches_cuda.cu';
const LOW_RANK = 'low_rank/low_rank_cuda.cu';
const PROJECT = 'low_rank/low_rank_project.cuh';

/** @typedef {{ name: string, exercise: string, file: string, find: string, replace: string, faults?: string[],
 *   says?: string, at?: string, isHarmless?: boolean }} Bug */

/** @type {readonly Bug[]} */
export const BUGS = [
  {
    name: 'the first barrier of block_sum is missing',
    ...{ exercise: 'norm', file: BLOCK_SUM, faults: ['kUninitialised', 'kRace'], at: BLOCK_SUM },
    find: '  if (lane == 0) partial[warp] = x;\n  __syncthreads();',
    replace: '  if (lane == 0) partial[warp] = x;',
    says: 'of shared memory block_sum::partial',
  },
  {
    name: 'the second barrier of block_sum is missing',
    ...{ exercise: 'norm', file: BLOCK_SUM, faults: ['kUninitialised', 'kRace'], at: BLOCK_SUM },
    find: '    if (lane == 0) total = sum;\n  }\n  __syncthreads();',
    replace: '    if (lane == 0) total = sum;\n  }',
    says: 'of shared memory block_sum::total',
  },
  {
    name: 'partial sums are read beyond those that were written',
    ...{ exercise: 'norm', file: BLOCK_SUM, faults: ['kUninitialised'], at: BLOCK_SUM },
    find: 'lane < blockDim.x / 32 ? partial[lane] : 0.f',
    replace: 'partial[lane]',
    says: 'block_sum::partial, which no thread of this block has written',
  },
  {
    name: 'a lane of the mask does not come',
    ...{ exercise: 'norm', file: BLOCK_SUM, faults: ['kWarp'], at: BLOCK_SUM },
    find: '  for (int offset = 16; offset > 0; offset /= 2) x +=',
    replace: '  if (threadIdx.x % 32 < 31) for (int offset = 16; offset > 0; offset /= 2) x +=',
    says: 'do not come',
  },
  {
    name: 'a step of the sum over a warp is missing',
    ...{ exercise: 'norm', file: BLOCK_SUM },
    find: '  for (int offset = 16; offset > 0; offset /= 2) x +=',
    replace: '  for (int offset = 8; offset > 0; offset /= 2) x +=',
  },
  {
    name: 'off by one: i <= size',
    ...{ exercise: 'norm', file: NORM, faults: ['kOutOfBounds'], at: NORM },
    find: 'i < size; i += blockDim.x) {\n    float x',
    replace: 'i <= size; i += blockDim.x) {\n    float x',
  },
  {
    name: 'a barrier that not all threads come to',
    ...{ exercise: 'norm', file: NORM, faults: ['kDivergence'] },
    find: '  const float scale =',
    replace: '  if (threadIdx.x < 96) __syncthreads();\n  const float scale =',
    says: 'waits at another one',
  },
  {
    name: 'threads leave before a barrier',
    ...{ exercise: 'norm', file: NORM, faults: ['kDivergence', 'kWarp'], at: BLOCK_SUM },
    find: '  float squares = 0.f;',
    replace: '  if (threadIdx.x >= size) return;\n  float squares = 0.f;',
    says: 'has left the kernel',
  },
  {
    name: 'dynamic shared memory is an element short',
    ...{ exercise: 'norm', file: NORM, faults: ['kOutOfBounds'], at: NORM },
    find: 'size * sizeof(float), stream',
    replace: '(size - 1) * sizeof(float), stream',
  },
  {
    name: 'two blocks write one row',
    ...{ exercise: 'norm', file: NORM, faults: ['kRace'], at: NORM },
    find: 'const int64_t base = static_cast<int64_t>(blockIdx.x) * size;',
    replace: 'const int64_t base = static_cast<int64_t>(blockIdx.x / 2) * size;',
    says: 'and blocks have no order',
  },
  {
    name: "a neighbour's element is read before the barrier",
    ...{ exercise: 'norm', file: NORM, faults: ['kUninitialised', 'kRace'], at: NORM },
    find: '    squares += x * x;',
    replace: '    squares += x * x + 0 * row[i > 0 ? i - 1 : 0];',
    says: 'of dynamic shared memory',
  },
  {
    name: "a neighbour's element is read after the barrier",
    ...{ exercise: 'norm', file: NORM, isHarmless: true },
    find: 'cuda::round_to<T>(row[i] * scale)',
    replace: 'cuda::round_to<T>(row[i] * scale + 0 * row[(i + 1) % size])',
  },
  {
    name: 'the stride of rows is forgotten',
    ...{ exercise: 'norm', file: NORM },
    find: 'static_cast<int64_t>(blockIdx.x) * residual_stride',
    replace: 'base + 0 * residual_stride',
  },
  {
    name: 'the rounding of the sum is forgotten',
    ...{ exercise: 'norm', file: NORM },
    find: 'x = cuda::round_to<T>(x + cuda::load(delta + base + i));',
    replace: 'x = x + cuda::load(delta + base + i);',
  },
  {
    name: 'the rounding before the weight is forgotten',
    ...{ exercise: 'norm', file: NORM },
    find: 'cuda::round_to<T>(row[i] * scale)',
    replace: 'row[i] * scale',
  },
  {
    name: 'static shared memory is forgotten in the longest row',
    ...{ exercise: 'longest_norm', file: NORM_LIMIT, faults: ['kLaunch'] },
    find: '48 * 1024 - cuda::kBlockSumBytes',
    replace: '48 * 1024',
    says: '49152 bytes of dynamic and 144 of static shared memory',
  },
  {
    name: 'the check of the tail is missing',
    ...{ exercise: 'swiglu', file: SWIGLU, faults: ['kOutOfBounds'], at: SWIGLU },
    find: '  if (i >= size) return;\n',
    replace: '',
  },
  {
    name: '16-byte loads of rows of an odd size',
    ...{ exercise: 'odd_rows', file: SWIGLU, faults: ['kMisaligned'], at: SWIGLU },
    find: '  const float gate = cuda::load(in + i);',
    replace: `  const uint4 vector = *reinterpret_cast<const uint4*>(in + i / 8 * 8);
  const float gate = cuda::load(in + i) + ((vector.x ^ vector.y ^ vector.z ^ vector.w) == 12345 ? 1.f : 0.f);`,
    says: 'multiple of 16',
  },
  {
    name: 'more rows than a grid has',
    ...{ exercise: 'many_rows', file: SWIGLU, faults: ['kLaunch'] },
    find: 'kMostRows = 65535;',
    replace: 'kMostRows = 70000;',
    says: 'a grid of 1 x 65536 x 1 blocks',
  },
  {
    name: "a block's index is cut",
    ...{ exercise: 'some_rows', file: SWIGLU, faults: ['kRace'], at: SWIGLU },
    find: 'const int64_t row = blockIdx.y;',
    replace: 'const int64_t row = static_cast<uint8_t>(blockIdx.y);',
    says: 'and blocks have no order',
  },
  {
    name: 'a pointer of the host is handed over',
    ...{ exercise: 'swiglu', file: SWIGLU, faults: ['kOutOfBounds'], at: SWIGLU },
    find: 'static_cast<const T*>(gate_up) + begin * 2 * size',
    replace: 'reinterpret_cast<const T*>(&size)',
    says: "memory that is not the device's",
  },
  {
    name: 'the rounding of silu is forgotten',
    ...{ exercise: 'swiglu', file: SWIGLU },
    find: 'cuda::round_to<T>(gate / (1.f + expf(-gate)))',
    replace: '(gate / (1.f + expf(-gate)))',
  },
  {
    name: 'a slot behind the pool is written',
    ...{ exercise: 'rope', file: ROPE, faults: ['kOutOfBounds'], at: ROPE },
    find: 'const int64_t slot = slots[token];\n  if (slot < 0 || slot >= s.slots) return nullptr;',
    replace: 'const int64_t slot = token + s.slots;',
  },
  {
    name: "the guard of the pool's size is missing",
    ...{ exercise: 'rope', file: ROPE, faults: ['kOutOfBounds', 'kRace'], at: ROPE },
    find: '  if (slot < 0 || slot >= s.slots) return nullptr;\n',
    replace: '',
  },
  {
    name: 'keys are written by the strides of values',
    ...{ exercise: 'rope', file: ROPE },
    find: 'is_value ? s.values : s.keys;',
    replace: 'is_value ? s.values : s.values;',
  },
  {
    name: 'the rounding of a product is forgotten',
    ...{ exercise: 'rope', file: ROTATE },
    find: 'round_to<T>(__fmul_rn(-high, low_sin))',
    replace: '__fmul_rn(-high, low_sin)',
  },
  {
    name: "a gate's gradient forgets what the gate itself changes",
    ...{ exercise: 'swiglu_backward', file: SWIGLU_BACKWARD },
    find: '__fadd_rn(__fmul_rn(g, rest), 1.f)',
    replace: '1.f',
  },
  {
    name: 'eights of rows that are no multiple of eight',
    ...{
      exercise: 'swiglu_backward',
      file: SWIGLU_BACKWARD,
      faults: ['kMisaligned', 'kOutOfBounds', 'kRace'],
    },
    find: 'size % 8 == 0 && cuda::is_aligned(gate_up)',
    replace: 'size > 8 && cuda::is_aligned(gate_up)',
  },
  {
    name: 'the share of the mean is not taken away',
    ...{ exercise: 'norm_backward', file: NORM_BACKWARD },
    find: '__fmaf_rn(-x.v[k], share, __fmul_rn(dy.v[k], w.v[k]))',
    replace: '__fmul_rn(dy.v[k], w.v[k])',
  },
  {
    name: 'a sum that is not there is read',
    ...{
      exercise: 'norm_backward',
      file: NORM_BACKWARD,
      faults: ['kOutOfBounds'],
      at: NORM_BACKWARD,
    },
    find: 'of_sum == nullptr ? sum + base + i : of_sum + base + i',
    replace: 'of_sum + base + i',
  },
  {
    name: 'gradients turn the way that heads do',
    ...{ exercise: 'rope_backward', file: ROPE_BACKWARD },
    find: 'low_cos, -high_sin, high_cos, -low_sin',
    replace: 'low_cos, low_sin, high_cos, high_sin',
  },
  {
    name: 'keys are read by the strides of queries',
    ...{ exercise: 'rope_backward', file: ROPE_BACKWARD },
    find: 'keys + k * s.keys.head + token * s.keys.slot',
    replace: 'keys + k * s.values.head + token * s.values.slot',
  },
  {
    name: 'powers before a larger one are not corrected',
    ...{ exercise: 'cross_entropy', file: CROSS_ENTROPY },
    find: '__fmaf_rn(sum, expf(largest - x), 1.f)',
    replace: 'sum + 1.f',
  },
  {
    name: 'the numbers behind the last eight are left out',
    ...{ exercise: 'cross_entropy', file: CROSS_ENTROPY },
    find: '  if (end + threadIdx.x < size) one(end + threadIdx.x);\n',
    replace: '',
  },
  {
    name: 'rows of a vocabulary are taken for aligned',
    ...{
      exercise: 'cross_entropy',
      file: CROSS_ENTROPY,
      faults: ['kMisaligned'],
      at: CROSS_ENTROPY,
    },
    find: '(16 - reinterpret_cast<uintptr_t>(row) % 16) % 16 / 2',
    replace: '0',
  },
  {
    name: 'a second reduction begins before the first was read',
    ...{ exercise: 'choose', file: REDUCE, faults: ['kRace'], at: REDUCE },
    find: '  __syncthreads();  // the reduction before this one has been read\n',
    replace: '',
    says: 'of shared memory',
  },
  {
    name: 'digits are counted without atomics',
    ...{ exercise: 'choose', file: CHOOSE, faults: ['kRace'], at: CHOOSE },
    find: 'atomicAdd(&digits[key >> shift & 255u], measure(key, score));',
    replace: 'digits[key >> shift & 255u] += measure(key, score);',
    says: 'find_place',
  },
  {
    name: 'digits are looked at before all are counted',
    ...{ exercise: 'choose', file: CHOOSE, faults: ['kRace'], at: CHOOSE },
    find: '    __syncthreads();\n    // The largest digit first.',
    replace: '    // The largest digit first.',
  },
  {
    name: 'the last ids of a vocabulary are not checked for',
    ...{ exercise: 'choose', file: CHOOSE, faults: ['kOutOfBounds', 'kRace'], at: CHOOSE },
    find: '  if (is_id) scores[row * vocabulary + id] = score;',
    replace: '  scores[row * vocabulary + id] = score;',
  },
  {
    name: 'equals of the last score under top-p all stay',
    ...{ exercise: 'choose', file: CHOOSE },
    find: 'border * (equals < at_border ? equals : at_border)',
    replace: 'border * at_border',
  },
  {
    name: 'a round of Philox is missing',
    ...{ exercise: 'choose', file: PHILOX },
    find: 'round < 10',
    replace: 'round < 9',
  },
  {
    name: 'forbidden ids are penalised and allowed again',
    ...{ exercise: 'choose', file: CHOOSE },
    find: 'score = is_allowed ? edited(score, rule, edits, static_cast<int>(id)) : -INFINITY;',
    replace: 'score = edited(score, rule, edits, static_cast<int>(id));',
  },
  {
    name: "the next tile's slots are written while this one's are read",
    ...{ exercise: 'decode', file: DECODE, faults: ['kRace'], at: DECODE },
    find: "    __syncthreads();  // before the next tile's slots and weights\n",
    replace: '',
    says: 'of dynamic shared memory',
  },
  {
    name: 'the sums of earlier tiles are not corrected',
    ...{ exercise: 'decode', file: DECODE },
    find: 'sum[i] * correction[g]',
    replace: 'sum[i]',
  },
  {
    name: 'a block of another row is read',
    ...{ exercise: 'decode', file: DECODE },
    find: 'block_table[row * s.most_blocks + t / s.block_size]',
    replace: 'block_table[t / s.block_size]',
  },
  {
    name: 'an empty split is combined',
    ...{ exercise: 'decode', file: COMBINE },
    find: 'own == 0.f ? 0.f : own * sums',
    replace: 'own * sums',
  },
  {
    name: "a warp's scores are read before all warps have written theirs",
    ...{ exercise: 'groups', file: GROUPS, faults: ['kRace', 'kUninitialised'], at: GROUPS },
    find: '    __syncthreads();\n    {\n      float most',
    replace: '    {\n      float most',
    says: 'of shared memory',
  },
  {
    name: "the group's next tile is begun while this one is read",
    ...{ exercise: 'groups', file: GROUPS, faults: ['kRace'], at: GROUPS },
    find: "    __syncthreads();  // before the next tile's slots and weights\n",
    replace: '',
    says: 'of shared memory',
  },
  {
    name: 'values beyond the last slot are looked up',
    ...{ exercise: 'groups', file: GROUPS, faults: ['kUninitialised', 'kOutOfBounds'], at: GROUPS },
    find: 'own_values + slots[key < count ? key : count - 1] * s.value_slot',
    replace: 'own_values + slots[key] * s.value_slot',
  },
  {
    name: 'the sums of earlier tiles of a group are not corrected',
    ...{ exercise: 'groups', file: GROUPS },
    find: 'out[h][e] *= factor',
    replace: 'out[h][e] *= 1.f',
  },
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
    name: 'pixels are taken before all have come to shared memory',
    ...{ exercise: 'patchify', file: PATCHIFY, faults: ['kRace', 'kUninitialised'], at: PATCHIFY },
    find: '  __syncthreads();\n  T* const to',
    replace: '  T* const to',
    says: 'of dynamic shared memory',
  },
  {
    name: 'a last block that is not full takes as many patches as the others',
    ...{ exercise: 'patchify', file: PATCHIFY, faults: ['kOutOfBounds', 'kRace'], at: PATCHIFY },
    find: 'b.side - first < b.patches ? b.side - first : b.patches',
    replace: 'b.patches',
  },
  {
    name: '16-byte loads of lines of another length',
    ...{ exercise: 'patchify', file: PATCHIFY, faults: ['kMisaligned'], at: PATCHIFY },
    find: 'cuda::is_aligned(tiles) && size % 16 == 0 &&',
    replace: 'cuda::is_aligned(tiles) &&',
    says: 'multiple of 16',
  },
  {
    name: 'a step of several numbers stays in the patch that it began in',
    ...{ exercise: 'patchify', file: PATCHIFY },
    find: '      begin += patch;\n',
    replace: '',
  },
  {
    name: 'the class token is counted among the patches',
    ...{ exercise: 'embed_patches', file: EMBED, faults: ['kOutOfBounds'], at: EMBED },
    find: 'tile * (all - size) + i - size;\n  cuda::store',
    replace: 'tile * all + i - size;\n  cuda::store',
  },
  {
    name: 'the class token has no position',
    ...{ exercise: 'embed_patches', file: EMBED },
    find: 'cuda::load(from) + cuda::load(positions + i)',
    replace: 'cuda::load(from) + (i < size ? 0.f : cuda::load(positions + i))',
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
