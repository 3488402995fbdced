/** Bugs of rotation, gates, and their gradients (../bugs.mjs). */
const ROTATE = 'common/rotate_pair.cuh';
const ROPE = 'rope_kv_append/rope_kv_append_cuda.cu';
const SWIGLU = 'swiglu/swiglu_cuda.cu';
const SWIGLU_BACKWARD = 'swiglu/swiglu_backward_cuda.cu';
const ROPE_BACKWARD = 'rope_kv_append/rope_backward_cuda.cu';

/** @type {readonly import('../bugs.mjs').Bug[]} */
export const LAYERS = [
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
];
