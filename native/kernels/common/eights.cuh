// Eight numbers at once: of bf16 16 bytes, of fp32 twice as many, aligned.
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

// Of either dtype, as loaded.
template <typename T>
struct Eight {
  uint4 words[sizeof(T) / 2];
};

template <typename T>
__device__ __forceinline__ void widen(const Eight<T>& eight, float (&out)[8]) {
  if constexpr (sizeof(T) == 2) {
    widen_eight(eight.words[0], out);
  } else {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const uint32_t all[4] = {eight.words[i].x, eight.words[i].y, eight.words[i].z, eight.words[i].w};
#pragma unroll
      for (int k = 0; k < 4; ++k) out[4 * i + k] = __int_as_float(static_cast<int>(all[k]));
    }
  }
}
template <typename T>
__device__ __forceinline__ void load_eight(const T* p, Eight<T>& out) {
  const uint4* const words = reinterpret_cast<const uint4*>(p);
#pragma unroll
  for (unsigned i = 0; i < sizeof(T) / 2; ++i) out.words[i] = words[i];
}
// The first `count` of eight numbers that need not be aligned; zeros behind them.
__device__ __forceinline__ void load_some(const __nv_bfloat16* p, int count, Eight<__nv_bfloat16>& out) {
  uint32_t words[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const uint32_t low = 2 * i < count ? __bfloat16_as_ushort(p[2 * i]) : 0, high = 2 * i + 1 < count ? __bfloat16_as_ushort(p[2 * i + 1]) : 0;
    words[i] = low | high << 16;
  }
  out.words[0] = make_uint4(words[0], words[1], words[2], words[3]);
}
__device__ __forceinline__ void load_some(const float* p, int count, Eight<float>& out) {
  uint32_t words[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) words[i] = i < count ? static_cast<uint32_t>(__float_as_int(p[i])) : 0;
#pragma unroll
  for (int i = 0; i < 2; ++i) out.words[i] = make_uint4(words[4 * i], words[4 * i + 1], words[4 * i + 2], words[4 * i + 3]);
}

}  // namespace facellm::cuda
