/** Bugs of the sum of a block, norms and their gradients (../bugs.mjs). */
const BLOCK_SUM = 'common/cuda_common.cuh';
const NORM = 'add_rms_norm/add_rms_norm_cuda.cu';
const NORM_LIMIT = 'add_rms_norm/add_rms_norm_cuda.h';
const NORM_BACKWARD = 'add_rms_norm/add_rms_norm_backward_cuda.cu';

/** @type {readonly import('../bugs.mjs').Bug[]} */
export const NORMS = [
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
];
