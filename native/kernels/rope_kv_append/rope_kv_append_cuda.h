// Raw-pointer launchers; see rope_kv_append.h. All tensors contiguous but the pool, which is given
// by the strides of a head and a slot, in elements.
#pragma once

#include <cstdint>

typedef struct CUstream_st* cudaStream_t;

namespace facellm {

struct PoolStrides {
  int64_t head, slot;
};

struct RopeKvAppendShape {
  int64_t tokens, heads, kv_heads, head_dim, slots;
  PoolStrides keys, values;
};

void rope_kv_append_cuda(const void* qkv, const void* cos, const void* sin, const int64_t* slots,
                         void* q, void* keys, void* values, const RopeKvAppendShape& shape,
                         bool is_bf16, cudaStream_t stream);

// Gradients of heads by the strides of a head and a token (`slot`); `out` as qkv. See rope_heads.h.
struct RopeBackwardShape {
  int64_t tokens, heads, kv_heads, head_dim;
  PoolStrides q, keys, values;
};

void rope_backward_cuda(const void* q, const void* keys, const void* values, const void* cos, const void* sin, void* out,
                        const RopeBackwardShape& shape, bool is_bf16, cudaStream_t stream);

}  // namespace facellm
