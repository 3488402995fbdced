// One block a (split, key head, row): tiles of slots, softmax as it goes, all heads of the group over the same keys. A
// second kernel combines the splits. Sums in fp32, in an order that follows from the row's length and the number of splits
// alone.
#include "kernels/common/cuda_common.cuh"
#include "kernels/paged_decode_attention/paged_decode_attention_cuda.h"
#include "kernels/paged_decode_attention/paged_decode_combine.cuh"

namespace facellm {
namespace {

constexpr int kThreads = 128, kWarps = kThreads / 32;

__device__ __forceinline__ float warp_max(float x) {
  for (int offset = 16; offset > 0; offset /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, offset));
  return x;
}

template <typename T>
__global__ void paged_decode_attention_kernel(const T* q, const T* keys, const T* values, const int32_t* block_table,
                                              const int64_t* lengths, float* sums, float* maxima, float* totals,
                                              PagedDecodeShape s) {
  __shared__ float maximum[kMostGroup], total[kMostGroup], correction[kMostGroup];
  const int64_t split = blockIdx.x, kv_head = blockIdx.y, row = blockIdx.z;
  const int64_t group = s.heads / s.kv_heads, elements = group * s.head_dim;
  int64_t* const slots = cuda::dynamic_shared<int64_t>();
  float* const query = reinterpret_cast<float*>(slots + kDecodeTile);
  float* const sum = query + elements;
  float* const weights = sum + elements;  // [group, kDecodeTile]
  cuda::let_next_start();
  cuda::wait_for_previous();
  const int64_t length = lengths[row];
  const int64_t share = decode_share(length, s.splits);
  const int64_t begin = split * share, end = begin + share < length ? begin + share : length;
  const int64_t first = (row * s.heads + kv_head * group) * s.splits + split;  // of the partial results
  if (begin >= end) {  // all threads of the block
    for (int64_t g = threadIdx.x; g < group; g += kThreads) maxima[first + g * s.splits] = -INFINITY;
    return;
  }
  const float scale = rsqrtf(static_cast<float>(s.head_dim));
  for (int64_t i = threadIdx.x; i < elements; i += kThreads) {
    const int64_t head = kv_head * group + i / s.head_dim;
    query[i] = cuda::load(q + (head * s.rows + row) * s.head_dim + i % s.head_dim) * scale;
    sum[i] = 0.f;
  }
  for (int64_t g = threadIdx.x; g < group; g += kThreads) {
    maximum[g] = -INFINITY;
    total[g] = 0.f;
  }
  const T* const own_keys = keys + kv_head * s.key_head;
  const T* const own_values = values + kv_head * s.value_head;
  const int64_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (int64_t tile = begin; tile < end; tile += kDecodeTile) {
    const int64_t count = end - tile < kDecodeTile ? end - tile : kDecodeTile;
    if (threadIdx.x < count) {
      const int64_t t = tile + threadIdx.x;
      const int64_t block = block_table[row * s.most_blocks + t / s.block_size];
      const int64_t slot = block * s.block_size + t % s.block_size;
      // The host has planned them; this guards memory.
      slots[threadIdx.x] = slot >= 0 && slot < s.slots ? slot : 0;
    }
    __syncthreads();
    for (int64_t i = threadIdx.x; i < group * count; i += kThreads) {
      const int64_t g = i / count, t = i % count;
      const T* const key = own_keys + slots[t] * s.key_slot;
      float score = 0.f;
      for (int64_t e = 0; e < s.head_dim; ++e) score += query[g * s.head_dim + e] * cuda::load(key + e);
      weights[g * kDecodeTile + t] = score;
    }
    __syncthreads();
    for (int64_t g = warp; g < group; g += kWarps) {
      float* const own = weights + g * kDecodeTile;
      float most = -INFINITY;
      for (int64_t t = lane; t < count; t += 32) most = fmaxf(most, own[t]);
      const float before = maximum[g];
      most = fmaxf(before, warp_max(most));
      float added = 0.f;
      for (int64_t t = lane; t < count; t += 32) {
        const float weight = expf(own[t] - most);
        own[t] = weight;
        added += weight;
      }
      added = cuda::warp_sum(added);
      __syncwarp();  // all lanes have read the maximum: a shuffle does not order memory
      if (lane == 0) {
        const float factor = expf(before - most);  // 0 in the first tile
        correction[g] = factor;
        total[g] = total[g] * factor + added;
        maximum[g] = most;
      }
    }
    __syncthreads();
    for (int64_t i = threadIdx.x; i < elements; i += kThreads) {
      const int64_t g = i / s.head_dim, e = i % s.head_dim;
      float value = sum[i] * correction[g];
      for (int64_t t = 0; t < count; ++t) {
        value += weights[g * kDecodeTile + t] * cuda::load(own_values + slots[t] * s.value_slot + e);
      }
      sum[i] = value;
    }
    __syncthreads();  // before the next tile's slots and weights
  }
  for (int64_t i = threadIdx.x; i < elements; i += kThreads) {
    sums[(first + i / s.head_dim * s.splits) * s.head_dim + i % s.head_dim] = sum[i];
  }
  for (int64_t g = threadIdx.x; g < group; g += kThreads) {
    maxima[first + g * s.splits] = maximum[g];
    totals[first + g * s.splits] = total[g];
  }
}

template <typename T>
void launch(const void* q, const void* keys, const void* values, const int32_t* block_table, const int64_t* lengths,
            float* sums, float* maxima, float* totals, void* out, const PagedDecodeShape& s, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(s.splits), static_cast<unsigned>(s.kv_heads), static_cast<unsigned>(s.rows));
  const int64_t group = s.heads / s.kv_heads;
  const auto shared = static_cast<size_t>((2 * s.head_dim + kDecodeTile) * group) * sizeof(float) +
                      static_cast<size_t>(kDecodeTile) * sizeof(int64_t);
  cuda::launch_early(paged_decode_attention_kernel<T>, grid, kThreads, shared, stream, static_cast<const T*>(q),
                     static_cast<const T*>(keys), static_cast<const T*>(values), block_table, lengths, sums, maxima, totals, s);
  launch_paged_decode_combine(sums, maxima, totals, static_cast<T*>(out), s, stream);
}

}  // namespace

void paged_decode_attention_cuda(const void* q, const void* keys, const void* values, const int32_t* block_table,
                                 const int64_t* lengths, float* sums, float* maxima, float* totals, void* out,
                                 const PagedDecodeShape& shape, bool is_bf16, cudaStream_t stream) {
  const auto run = is_bf16 ? launch<__nv_bfloat16> : launch<float>;
  run(q, keys, values, block_table, lengths, sums, maxima, totals, out, shape, stream);
}

}  // namespace facellm
