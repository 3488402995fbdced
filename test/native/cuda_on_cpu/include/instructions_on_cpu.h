// The functions of native/kernels/common/instructions.cuh for the CPU.
#pragma once

#include "cuda_bf16.h"
#include "cuda_runtime.h"

namespace cuda_on_cpu::instructions {

__forceinline__ uint4 load_once(const void* global) { return *static_cast<const uint4*>(global); }
__forceinline__ void prefetch(const void*) {}
template <int kBytes>
__forceinline__ void copy_async(void* shared, const void* global, int valid = kBytes) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16);
  ::cuda_on_cpu::copy_async(shared, global, kBytes, valid);
}
__forceinline__ void copy_async_commit() { ::cuda_on_cpu::copy_async_commit(); }
template <int kGroups>
__forceinline__ void copy_async_wait() { ::cuda_on_cpu::copy_async_wait(kGroups); }
__forceinline__ void ldmatrix_x4(uint32_t (&out)[4], const void* row, CUDA_ON_CPU_SITE) {
  ::cuda_on_cpu::ldmatrix_x4(out, row, false, site);
}
__forceinline__ void ldmatrix_x4_transposed(uint32_t (&out)[4], const void* row, CUDA_ON_CPU_SITE) {
  ::cuda_on_cpu::ldmatrix_x4(out, row, true, site);
}
__forceinline__ void mma_m16n8k16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], CUDA_ON_CPU_SITE) {
  ::cuda_on_cpu::mma_m16n8k16(c, a, b, site);
}
// By way of fp64, which holds the product and, of numbers that are not far apart, the sum.
__forceinline__ uint32_t fma_bf16x2(uint32_t a, uint32_t b, uint32_t c) {
  const auto half = [](uint32_t x, int i) { return static_cast<double>(__builtin_bit_cast(float, x >> (16 * i) << 16)); };
  uint32_t d = 0;
  for (int i = 0; i < 2; ++i) {
    const auto sum = static_cast<float>(half(a, i) * half(b, i) + half(c, i));
    d |= static_cast<uint32_t>(__float2bfloat16_rn(sum).bits) << (16 * i);
  }
  return d;
}

}  // namespace cuda_on_cpu::instructions
