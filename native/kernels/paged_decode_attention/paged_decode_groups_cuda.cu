// One block a (split, key head, row), as in paged_decode_attention_cuda.cu, with loads of 16 bytes. Scores by tensor cores:
// 16 keys by the eight heads of the group, each lane with 16 bytes of a key and of a query at once, as in
// product/few_rows_cuda.cu. The values are on their way while the weights are made; each lane sums eight of their
// elements for all heads, over a part of the keys.
#include "kernels/common/eights.cuh"
#include "kernels/common/instructions.cuh"
#include "kernels/paged_decode_attention/paged_decode_combine.cuh"
#include "kernels/paged_decode_attention/paged_decode_groups_cuda.h"

namespace facellm {
namespace {

constexpr int kWarps = 4, kThreads = 32 * kWarps;
constexpr int kHeads = 8;                           // of a group; those that are not there weigh nothing
constexpr int kOwnKeys = kDecodeTile / kWarps;      // of a tile, a warp's
constexpr int kParts = kOwnKeys / 16;               // of those, multiplied together
constexpr int kElements = 8;                        // of 16 bytes

template <int kWidth>
__global__ void __launch_bounds__(kThreads)
    paged_decode_groups_kernel(const __nv_bfloat16* q, const __nv_bfloat16* keys, const __nv_bfloat16* values,
                               const int32_t* block_table, const int64_t* lengths, float* sums, float* maxima,
                               float* totals, PagedDecodeShape s) {
  constexpr int kChunks = kWidth / 32, kLanesAKey = kWidth / kElements, kKeysAtOnce = 32 / kLanesAKey;
  constexpr int kSteps = kOwnKeys / kKeysAtOnce, kEarly = kSteps < 8 ? kSteps : 8;
  __shared__ int64_t slots[kDecodeTile];
  __shared__ __align__(16) float weights[kDecodeTile][kHeads];
  __shared__ float correction[kHeads], added[kWarps][kHeads][kWidth];
  const int64_t split = blockIdx.x, kv_head = blockIdx.y, row = blockIdx.z;
  const int group = static_cast<int>(s.heads / s.kv_heads);
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  // Lengths and tables are those of the whole step (paged_decode_groups_cuda.h): where the slots lie is found, and their keys and values
  // brought nearer, while the kernel before this one still runs. The newest slot is written by that one, and read after it.
  const int64_t length = lengths[row];
  const int64_t share = decode_share(length, s.splits);
  const int64_t begin = split * share, end = begin + share < length ? begin + share : length;
  const auto find_slots = [&](int64_t tile, int count) {
    if (static_cast<int>(threadIdx.x) >= count) return;
    const int64_t t = tile + threadIdx.x;
    const int64_t block = block_table[row * s.most_blocks + t / s.block_size];
    const int64_t slot = block * s.block_size + t % s.block_size;
    // The host has planned them; this guards memory.
    slots[threadIdx.x] = slot >= 0 && slot < s.slots ? slot : 0;
  };
  if (begin < end) {
    const int count = static_cast<int>(end - begin < kDecodeTile ? end - begin : kDecodeTile);
    find_slots(begin, count);
    if (static_cast<int>(threadIdx.x) < count) {
      const int64_t slot = slots[threadIdx.x];
#pragma unroll
      for (int e = 0; e < kWidth; e += 64) {
        cuda::prefetch(keys + kv_head * s.key_head + slot * s.key_slot + e);
        cuda::prefetch(values + kv_head * s.value_head + slot * s.value_slot + e);
      }
    }
  }
  cuda::let_next_start();
  cuda::wait_for_previous();
  const int64_t first = (row * s.heads + kv_head * group) * s.splits + split;  // of the partial results
  if (begin >= end) {  // all threads of the block
    if (static_cast<int>(threadIdx.x) < group) maxima[first + threadIdx.x * s.splits] = -INFINITY;
    return;
  }
  const float scale = rsqrtf(static_cast<float>(kWidth));
  uint4 query[kChunks];
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
    query[c] = make_uint4(0, 0, 0, 0);
    if (lane / 4 >= group) continue;
    const int64_t head = kv_head * group + lane / 4;
    query[c] = *reinterpret_cast<const uint4*>(q + (head * s.rows + row) * kWidth + c * 32 + lane % 4 * kElements);
  }
  const __nv_bfloat16* const own_keys = keys + kv_head * s.key_head;
  const __nv_bfloat16* const own_values = values + kv_head * s.value_head + lane % kLanesAKey * kElements;
  // One head a group of 16 threads: its maximum and total so far, the same in all of them.
  const int weight_head = warp * 2 + lane % 2, weight_part = lane / 2;
  float maximum = -INFINITY, total = 0.f;
  float out[kHeads][kElements] = {};
  for (int64_t tile = begin; tile < end; tile += kDecodeTile) {
    const int count = static_cast<int>(end - tile < kDecodeTile ? end - tile : kDecodeTile);
    if (tile != begin) find_slots(tile, count);
    __syncthreads();
    // All that a warp reads of a tile is on its way at once. Keys beyond the last are read as the last one.
    uint4 key_words[kParts][kChunks][2];
#pragma unroll
    for (int p = 0; p < kParts; ++p) {
      const int part = warp * kOwnKeys + p * 16;
      if (part >= count) continue;
      const int low_key = part + lane / 4, high_key = low_key + 8, last = count - 1;
      const __nv_bfloat16* const low = own_keys + slots[low_key < count ? low_key : last] * s.key_slot + lane % 4 * kElements;
      const __nv_bfloat16* const high = own_keys + slots[high_key < count ? high_key : last] * s.key_slot + lane % 4 * kElements;
#pragma unroll
      for (int c = 0; c < kChunks; ++c) {
        key_words[p][c][0] = *reinterpret_cast<const uint4*>(low + c * 32);
        key_words[p][c][1] = *reinterpret_cast<const uint4*>(high + c * 32);
      }
    }
    const int own_begin = warp * kOwnKeys + lane / kLanesAKey;
    const auto value_at = [&](int step) {
      const int key = own_begin + step * kKeysAtOnce;
      return *reinterpret_cast<const uint4*>(own_values + slots[key < count ? key : count - 1] * s.value_slot);
    };
    uint4 early_values[kEarly];
    const bool has_keys = warp * kOwnKeys < count;
    if (has_keys) {
#pragma unroll
      for (int i = 0; i < kEarly; ++i) early_values[i] = value_at(i);
    }
#pragma unroll
    for (int p = 0; p < kParts; ++p) {
      const int part = warp * kOwnKeys + p * 16;
      if (part >= count) continue;
      float scores[4] = {};
#pragma unroll
      for (int c = 0; c < kChunks; ++c) {
        const uint4 low_words = key_words[p][c][0], high_words = key_words[p][c][1];
        const uint32_t early[4] = {low_words.x, high_words.x, low_words.y, high_words.y};
        const uint32_t late[4] = {low_words.z, high_words.z, low_words.w, high_words.w};
        const uint32_t early_query[2] = {query[c].x, query[c].y}, late_query[2] = {query[c].z, query[c].w};
        cuda::mma_m16n8k16(scores, early, early_query);
        cuda::mma_m16n8k16(scores, late, late_query);
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) weights[part + lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2] = scores[i] * scale;
    }
    __syncthreads();
    {
      float most = maximum;
      for (int t = weight_part; t < count; t += 16) most = fmaxf(most, weights[t][weight_head]);
      for (int offset = 16; offset > 1; offset /= 2) most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, offset));
      float sum = 0.f;
      for (int t = weight_part; t < kDecodeTile; t += 16) {
        const float weight = t < count ? expf(weights[t][weight_head] - most) : 0.f;
        weights[t][weight_head] = weight;
        sum += weight;
      }
      for (int offset = 16; offset > 1; offset /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
      const float factor = expf(maximum - most);  // 0 in the first tile
      total = total * factor + sum;
      maximum = most;
      if (weight_part == 0) correction[weight_head] = factor;
    }
    __syncthreads();
#pragma unroll
    for (int h = 0; h < kHeads; ++h) {
      const float factor = correction[h];
#pragma unroll
      for (int e = 0; e < kElements; ++e) out[h][e] *= factor;
    }
    const auto add = [&](uint4 words, int step) {
      float value[kElements];
      cuda::widen_eight(words, value);
      const int key = own_begin + step * kKeysAtOnce;  // beyond the last one the weight is zero
      const float4 low = *reinterpret_cast<const float4*>(&weights[key][0]);
      const float4 high = *reinterpret_cast<const float4*>(&weights[key][4]);
      const float weight[kHeads] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
      for (int h = 0; h < kHeads; ++h) {
#pragma unroll
        for (int e = 0; e < kElements; ++e) out[h][e] += weight[h] * value[e];
      }
    };
    if (has_keys) {
#pragma unroll
      for (int i = 0; i < kEarly; ++i) add(early_values[i], i);
      for (int i = kEarly; i < kSteps; ++i) add(value_at(i), i);
    }
    __syncthreads();  // before the next tile's slots and weights
  }
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
#pragma unroll
    for (int e = 0; e < kElements; ++e) {
      float x = out[h][e];
      for (int offset = 16; offset >= kLanesAKey; offset /= 2) x += __shfl_xor_sync(0xffffffffu, x, offset);
      if (lane < kLanesAKey) added[warp][h][lane * kElements + e] = x;
    }
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < group * kWidth; i += kThreads) {
    const int h = i / kWidth, e = i % kWidth;
    float sum = 0.f;
    for (int w = 0; w < kWarps; ++w) sum += added[w][h][e];
    sums[(first + h * s.splits) * kWidth + e] = sum;
  }
  if (weight_part == 0 && weight_head < group) {
    maxima[first + weight_head * s.splits] = maximum;
    totals[first + weight_head * s.splits] = total;
  }
}

template <int kWidth>
void launch(const void* q, const void* keys, const void* values, const int32_t* block_table, const int64_t* lengths,
            float* sums, float* maxima, float* totals, void* out, const PagedDecodeShape& s, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(s.splits), static_cast<unsigned>(s.kv_heads), static_cast<unsigned>(s.rows));
  cuda::launch_early(paged_decode_groups_kernel<kWidth>, grid, kThreads, 0, stream, static_cast<const __nv_bfloat16*>(q),
                     static_cast<const __nv_bfloat16*>(keys), static_cast<const __nv_bfloat16*>(values), block_table,
                     lengths, sums, maxima, totals, s);
  launch_paged_decode_combine(sums, maxima, totals, static_cast<__nv_bfloat16*>(out), s, stream);
}

}  // namespace

bool takes_paged_decode_groups(const void* q, const void* keys, const void* values, const PagedDecodeShape& s) {
  const auto is_aligned = [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; };
  const bool is_known = s.head_dim == 64 || s.head_dim == 128;
  return is_known && s.heads / s.kv_heads <= kHeads && is_aligned(q) && is_aligned(keys) && is_aligned(values) &&
         s.key_head % kElements == 0 && s.key_slot % kElements == 0 && s.value_head % kElements == 0 &&
         s.value_slot % kElements == 0;
}

void paged_decode_groups_cuda(const void* q, const void* keys, const void* values, const int32_t* block_table,
                              const int64_t* lengths, float* sums, float* maxima, float* totals, void* out,
                              const PagedDecodeShape& shape, cudaStream_t stream) {
  const auto run = shape.head_dim == 64 ? launch<64> : launch<128>;
  run(q, keys, values, block_table, lengths, sums, maxima, totals, out, shape, stream);
}

}  // namespace facellm
