// What the fused kernels share: launches, loads and stores as fp32, one rounding helper, a block-wide sum.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include "kernels/common/block_sum.h"
#include "kernels/common/launch.cuh"

namespace facellm::cuda {

__device__ __forceinline__ float load(const float* p) { return *p; }
__device__ __forceinline__ float load(const __nv_bfloat16* p) { return __bfloat162float(*p); }
__device__ __forceinline__ void store(float* p, float x) { *p = x; }
__device__ __forceinline__ void store(__nv_bfloat16* p, float x) { *p = __float2bfloat16_rn(x); }

// The value that would be read back after a store of type T: one rounding of the reference.
template <typename T>
__device__ __forceinline__ float round_to(float x);
template <>
__device__ __forceinline__ float round_to<float>(float x) { return x; }
template <>
__device__ __forceinline__ float round_to<__nv_bfloat16>(float x) {
  return __bfloat162float(__float2bfloat16_rn(x));
}

// Sum over a warp, returned to every lane: pairs 16, 8, 4, 2 and 1 apart.
__device__ __forceinline__ float warp_sum(float x) {
  for (int offset = 16; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffu, x, offset);
  return x;
}

// Sum over the block, returned to every thread. blockDim.x is a multiple of 32, at most 1024.
__device__ __forceinline__ float block_sum(float x) {
  __shared__ float partial[kMostWarps];
  __shared__ float total;
  x = warp_sum(x);
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  if (lane == 0) partial[warp] = x;
  __syncthreads();
  if (warp == 0) {
    const float sum = warp_sum(lane < blockDim.x / 32 ? partial[lane] : 0.f);
    if (lane == 0) total = sum;
  }
  __syncthreads();
  return total;
}

}  // namespace facellm::cuda
