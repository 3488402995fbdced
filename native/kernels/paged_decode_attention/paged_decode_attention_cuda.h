// Raw-pointer launcher; see paged_decode_attention.h. All tensors contiguous but the pool, which is given by the strides
// of a head and a slot, in elements.
#pragma once

#include <cstdint>

typedef struct CUstream_st* cudaStream_t;

namespace facellm {

// Query heads that read one key head, and their elements together.
constexpr int64_t kMostGroup = 16;
constexpr int64_t kMostGroupElements = 2048;
constexpr int64_t kMostSplits = 32;
constexpr int64_t kDecodeTile = 128;  // slots that a block of threads looks at together
// A group's queries, its sums, its weights of a tile, and where the tile's slots lie.
constexpr int64_t kPagedDecodeSharedBytes =
    (2 * kMostGroupElements + kMostGroup * kDecodeTile) * static_cast<int64_t>(sizeof(float)) +
    kDecodeTile * static_cast<int64_t>(sizeof(int64_t));

struct PagedDecodeShape {
  int64_t rows, heads, kv_heads, head_dim, slots;
  int64_t block_size, most_blocks, splits;
  int64_t key_head, key_slot, value_head, value_slot;  // strides
};

// sums [R, H, splits, E], maxima and totals [R, H, splits], fp32: of each split, before they are combined.
void paged_decode_attention_cuda(const void* q, const void* keys, const void* values, const int32_t* block_table,
                                 const int64_t* lengths, float* sums, float* maxima, float* totals, void* out,
                                 const PagedDecodeShape& shape, bool is_bf16, cudaStream_t stream);

}  // namespace facellm
