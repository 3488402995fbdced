// Kernels for checker_instructions_test.cpp; scripts/check-cuda.sh compiles them with nvcc, too.
#pragma once

#include <cuda_bf16.h>

#include "kernels/common/instructions.cuh"
#include "kernels/common/launch.cuh"

namespace cuda_on_cpu {

namespace cuda = facellm::cuda;

enum Mistake { kNone, kNoWait, kNoBarrier, kTooEarly, kLateBarrier };

// c [16, 8] = a [16, K] * b [8, K]^T, one warp; two stages in shared memory, of which one arrives while the other is used.
__global__ void product_kernel(const __nv_bfloat16* a, const __nv_bfloat16* b, float* c, int depth, Mistake mistake) {
  __shared__ __align__(16) __nv_bfloat16 a_tiles[2][16 * 16];
  __shared__ __align__(16) __nv_bfloat16 b_tiles[2][8 * 16];
  const int lane = static_cast<int>(threadIdx.x), row = lane / 2, half = lane % 2 * 8;
  const auto fetch = [&](int k, int stage) {
    if (k < depth) {
      cuda::copy_async<16>(a_tiles[stage] + row * 16 + half, a + row * depth + k + half);
      if (lane < 16) cuda::copy_async<16>(b_tiles[stage] + row * 16 + half, b + row * depth + k + half);
    }
    cuda::copy_async_commit();
  };
  float sums[4] = {0, 0, 0, 0};
  fetch(0, 0);
  for (int k = 0, stage = 0; k < depth; k += 16, stage ^= 1) {
    fetch(k + 16, stage ^ 1);
    if (mistake == kNoWait) {
      cuda::copy_async_wait<2>();
    } else {
      cuda::copy_async_wait<1>();
    }
    if (mistake != kNoBarrier) __syncthreads();
    if (mistake == kTooEarly) fetch(k, stage);
    uint32_t a_words[4], b_words[4];
    cuda::ldmatrix_x4(a_words, a_tiles[stage] + lane % 16 * 16 + lane / 16 * 8);
    cuda::ldmatrix_x4(b_words, b_tiles[stage] + lane % 8 * 16 + lane / 8 % 2 * 8);
    const uint32_t b_fragment[2] = {b_words[0], b_words[1]};
    cuda::mma_m16n8k16(sums, a_words, b_fragment);
    if (mistake != kLateBarrier) __syncthreads();
  }
  for (int i = 0; i < 4; ++i) c[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = sums[i];
}

__global__ void transpose_kernel(const uint16_t* in, uint32_t* out, bool is_transposed) {
  __shared__ __align__(16) uint16_t tile[32 * 8];
  for (int i = 0; i < 8; ++i) tile[threadIdx.x * 8 + i] = in[threadIdx.x * 8 + i];
  __syncwarp();
  uint32_t words[4];
  if (is_transposed) {
    cuda::ldmatrix_x4_transposed(words, tile + threadIdx.x * 8);
  } else {
    cuda::ldmatrix_x4(words, tile + threadIdx.x * 8);
  }
  for (int m = 0; m < 4; ++m) out[threadIdx.x * 4 + m] = words[m];
}

__global__ void tail_kernel(const float* in, float* out, int valid) {
  __shared__ __align__(16) float row[4];
  cuda::copy_async<16>(row, in, valid);
  cuda::copy_async_commit();
  cuda::copy_async_wait<0>();
  for (int i = 0; i < 4; ++i) out[i] = row[i];
}

}  // namespace cuda_on_cpu
