/** Bugs of attention of decoding, the choice of tokens, losses (../bugs.mjs). */
const CROSS_ENTROPY = 'cross_entropy/cross_entropy_cuda.cu';
const CHOOSE = 'choose_tokens/choose_tokens_cuda.cu';
const REDUCE = 'common/block_reduce.cuh';
const PHILOX = 'common/philox.cuh';
const DECODE = 'paged_decode_attention/paged_decode_attention_cuda.cu';
const COMBINE = 'paged_decode_attention/paged_decode_combine.cuh';
const GROUPS = 'paged_decode_attention/paged_decode_groups_cuda.cu';

/** @type {readonly import('../bugs.mjs').Bug[]} */
export const ANSWERS = [
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
];
