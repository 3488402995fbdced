// Eight numbers of bf16 at once: 16 bytes, aligned.
#pragma once

#include "kernels/common/cuda_common.cuh"

namespace facellm::cuda {

inline bool is_aligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

__device__ __forceinline__ uint32_t round_pair(float low, float high) {
  return static_cast<uint32_t>(__bfloat16_as_ushort(__float2bfloat16_rn(low))) |
         static_cast<uint32_t>(__bfloat16_as_ushort(__float2bfloat16_rn(high))) << 16;
}
__device__ __forceinline__ void widen_eight(uint4 words, float (&out)[8]) {
  const uint32_t all[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    out[2 * i] = __int_as_float(static_cast<int>(all[i] << 16));
    out[2 * i + 1] = __int_as_float(static_cast<int>(all[i] & 0xffff0000u));
  }
}
__device__ __forceinline__ uint4 narrow_eight(const float (&x)[8]) {
  return make_uint4(round_pair(x[0], x[1]), round_pair(x[2], x[3]), round_pair(x[4], x[5]), round_pair(x[6], x[7]));
}
__device__ __forceinline__ uint4 load_eight(const __nv_bfloat16* p) { return *reinterpret_cast<const uint4*>(p); }

}  // namespace facellm::cuda
