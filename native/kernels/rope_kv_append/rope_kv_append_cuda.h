// Raw-pointer launcher; see rope_kv_append.h. All tensors contiguous but the caches, which are given
// by the strides of a row (batch), a head and a slot, in elements.
#pragma once

#include <cstdint>

typedef struct CUstream_st* cudaStream_t;

namespace facellm {

struct CacheStrides {
  int64_t row, head, slot;
};

struct RopeKvAppendShape {
  int64_t batch, length, heads, kv_heads, head_dim, capacity;
  CacheStrides keys, values;
};

void rope_kv_append_cuda(const void* qkv, const void* cos, const void* sin, const int64_t* starts,
                         void* q, void* keys, void* values, const RopeKvAppendShape& shape,
                         bool is_bf16, cudaStream_t stream);

}  // namespace facellm
