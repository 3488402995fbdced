// The first kernel of low-rank additions, of a layer's input: u = x A^T. Its sums are split among as many threads as there are loads.
#pragma once

#include "kernels/common/eights.cuh"
#include "kernels/common/instructions.cuh"
#include "kernels/low_rank/low_rank_groups.cuh"

namespace facellm {
namespace {

constexpr int kRanks = 4;  // of a block
constexpr int kSums = kRows * kRanks;
constexpr int kMostProjectThreads = 512;

// Sums over a warp of the first kLeft numbers at once, each as warp_sum() adds it: lane l of 32 gets that of number l / (32 / kLeft).
template <int kLeft = kSums, int kOffset = 16>
__device__ __forceinline__ float fold(float (&sums)[kSums], int lane) {
  if constexpr (kLeft > 1) {
    // Each half of the lanes keeps a half of the numbers.
    constexpr int kHalf = kLeft / 2;
    const bool is_upper = (lane & kOffset) != 0;
#pragma unroll
    for (int i = 0; i < kHalf; ++i) {
      const float given = is_upper ? sums[i] : sums[i + kHalf], kept = is_upper ? sums[i + kHalf] : sums[i];
      sums[i] = kept + __shfl_xor_sync(0xffffffffu, given, kOffset);
    }
    return fold<kHalf, kOffset / 2>(sums, lane);
  } else if constexpr (kOffset > 0) {
    sums[0] += __shfl_xor_sync(0xffffffffu, sums[0], kOffset);
    return fold<1, kOffset / 2>(sums, lane);
  } else {
    return sums[0];
  }
}

// u = x A^T of kRows rows and kRanks ranks, rounded where it is stored.
template <typename T>
__global__ void __launch_bounds__(kMostProjectThreads)
    low_rank_project_kernel(const T* x, T* u, const __grid_constant__ GroupPointers matrices,
                            const __grid_constant__ Groups groups, int in, int64_t x_stride, int64_t u_stride) {
  __shared__ float partial[kMostProjectThreads / 32][kSums];
  const Tile tile = tile_of(groups, static_cast<int>(blockIdx.y));
  const int first_rank = static_cast<int>(blockIdx.x) * kRanks, ranks = groups.groups[tile.group].ranks;
  if (first_rank >= ranks) return;
  const T* const a = static_cast<const T*>(matrices.pointers[tile.group]);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int first = static_cast<int>(threadIdx.x) * 8, step = static_cast<int>(blockDim.x) * 8;
  cuda::Eight<T> of_a[kRanks];
  const auto fetch = [&](int column) {
#pragma unroll
    for (int j = 0; j < kRanks; ++j) {
      // Behind the last rank that one once more, whose sum is nobody's.
      const int rank = first_rank + j < ranks ? first_rank + j : ranks - 1;
      const T* const from = a + static_cast<int64_t>(rank) * in + column;
#pragma unroll
      for (int i = 0; i < static_cast<int>(sizeof(T) / 2); ++i) of_a[j].words[i] = cuda::load_once(from + 4 * i);
    }
  };
  if (first < in) fetch(first);
  cuda::let_next_start();
  cuda::wait_for_previous();
  float sums[kSums] = {};
  for (int column = first; column < in; column += step) {
    if (column != first) fetch(column);
    cuda::Eight<T> of_x[kRows];
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      if (r < tile.rows) cuda::load_eight(x + (tile.begin + r) * x_stride + column, of_x[r]);
    }
    float wide_a[kRanks][8];
#pragma unroll
    for (int j = 0; j < kRanks; ++j) cuda::widen(of_a[j], wide_a[j]);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      if (r >= tile.rows) continue;
      float wide_x[8];
      cuda::widen(of_x[r], wide_x);
#pragma unroll
      for (int j = 0; j < kRanks; ++j) {
#pragma unroll
        for (int k = 0; k < 8; ++k) sums[r * kRanks + j] = __fmaf_rn(wide_x[k], wide_a[j][k], sums[r * kRanks + j]);
      }
    }
  }
  const float own = fold(sums, lane);
  if (lane % (32 / kSums) == 0) partial[warp][lane / (32 / kSums)] = own;
  __syncthreads();
  const int r = static_cast<int>(threadIdx.x) / kRanks, rank = first_rank + static_cast<int>(threadIdx.x) % kRanks;
  if (r >= tile.rows || rank >= ranks) return;
  float sum = 0.f;
  for (int w = 0; w < static_cast<int>(blockDim.x) / 32; ++w) sum += partial[w][threadIdx.x];
  cuda::store(u + (tile.begin + r) * u_stride + rank, sum);
}

}  // namespace
}  // namespace facellm
