// Reductions and prefix sums over a block of kThreads threads, a multiple of 32 and at most 1024, whose results every
// thread gets. Integers: the same whatever the order. All threads must come.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace facellm::cuda {

using Fixed = unsigned long long;  // weights as whole numbers: their sums do not depend on the order

__device__ __forceinline__ float larger(float a, float b) { return fmaxf(a, b); }
__device__ __forceinline__ float sum_of(float a, float b) { return a + b; }
__device__ __forceinline__ Fixed sum_of(Fixed a, Fixed b) { return a + b; }
__device__ __forceinline__ int smaller(int a, int b) { return a < b ? a : b; }

// `combine` is associative and commutative; `neutral` changes nothing.
template <int kThreads, typename T, typename Combine>
__device__ __forceinline__ T block_reduce(T x, T neutral, Combine combine) {
  __shared__ T partial[32];
  for (int offset = 16; offset > 0; offset /= 2) x = combine(x, __shfl_xor_sync(0xffffffffu, x, offset));
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  __syncthreads();  // the reduction before this one has been read
  if (lane == 0) partial[warp] = x;
  __syncthreads();
  T all = lane < kThreads / 32 ? partial[lane] : neutral;
  for (int offset = 16; offset > 0; offset /= 2) all = combine(all, __shfl_xor_sync(0xffffffffu, all, offset));
  return all;
}

// The sum of all threads before this one; `total`: of all.
template <int kThreads>
__device__ __forceinline__ Fixed block_before(Fixed x, Fixed& total) {
  __shared__ Fixed partial[32];
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  Fixed up_to = x;
  for (int offset = 1; offset < 32; offset *= 2) {
    const Fixed other = __shfl_up_sync(0xffffffffu, up_to, offset);
    if (lane >= static_cast<unsigned>(offset)) up_to += other;
  }
  __syncthreads();  // the sums before these have been read
  if (lane == 31) partial[warp] = up_to;
  __syncthreads();
  Fixed before = 0;
  total = 0;
  for (unsigned w = 0; w < kThreads / 32; ++w) {
    const Fixed own = partial[w];
    if (w < warp) before += own;
    total += own;
  }
  return before + up_to - x;
}

}  // namespace facellm::cuda
