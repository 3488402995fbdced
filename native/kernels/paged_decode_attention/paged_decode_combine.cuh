// The second half of both kernels of decode attention: a row's splits become one result.
#pragma once

#include "kernels/common/cuda_common.cuh"
#include "kernels/paged_decode_attention/paged_decode_attention_cuda.h"

namespace facellm {
namespace {

// Slots of a split: whole tiles, since a part of one takes as long. So short rows are of few splits, and the others are empty.
__device__ __forceinline__ int64_t decode_share(int64_t length, int64_t splits) {
  const int64_t tiles = (length + kDecodeTile - 1) / kDecodeTile;
  return (tiles + splits - 1) / splits * kDecodeTile;
}

// A split without slots has a maximum of -infinity and nothing else. The splits' shares are known before their sums are
// read, so that those are all on their way at once.
template <typename T>
__global__ void paged_decode_combine_kernel(const float* sums, const float* maxima, const float* totals, T* out,
                                            int64_t head_dim, int64_t splits) {
  __shared__ float share[kMostSplits];
  cuda::let_next_start();
  cuda::wait_for_previous();
  const int64_t row_head = blockIdx.x;
  if (threadIdx.x < 32) {  // a split a lane
    const bool is_split = static_cast<int64_t>(threadIdx.x) < splits;
    const float maximum = is_split ? maxima[row_head * splits + threadIdx.x] : -INFINITY;
    float most = maximum;
    for (int offset = 16; offset > 0; offset /= 2) most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, offset));
    const float factor = maximum == -INFINITY ? 0.f : expf(maximum - most);
    const float own = factor == 0.f ? 0.f : totals[row_head * splits + threadIdx.x] * factor;
    float total = own;
    for (int offset = 16; offset > 0; offset /= 2) total += __shfl_xor_sync(0xffffffffu, total, offset);
    share[threadIdx.x] = factor == 0.f ? 0.f : factor / total;
  }
  __syncthreads();
  for (int64_t e = threadIdx.x; e < head_dim; e += blockDim.x) {
    float value = 0.f;
#pragma unroll 8
    for (int64_t i = 0; i < splits; ++i) {
      const float own = share[i];
      value += own == 0.f ? 0.f : own * sums[(row_head * splits + i) * head_dim + e];
    }
    cuda::store(out + row_head * head_dim + e, value);
  }
}

template <typename T>
void launch_paged_decode_combine(const float* sums, const float* maxima, const float* totals, T* out,
                                 const PagedDecodeShape& s, cudaStream_t stream) {
  cuda::launch_early(paged_decode_combine_kernel<T>, dim3(static_cast<unsigned>(s.rows * s.heads)),
                     dim3(s.head_dim <= 64 ? 64 : 128), 0, stream, sums, maxima, totals, out, s.head_dim, s.splits);
}

}  // namespace
}  // namespace facellm
