// Rotation of queries and keys, and the write of keys and values into the pool, one pass over the
// fused qkv (docs/internvl3.md, sections 9, 10). Half-split convention: element i pairs with i + E/2.
#pragma once

#include <ATen/ATen.h>

namespace facellm {

// qkv [T, (H + 2K) * E]: q heads, k heads, v heads of packed tokens, whosever they are; cos, sin [T, E], both
// halves filled; keys, values [K, S, E]; all of one dtype (fp32 or bf16) and device. slots int64 [T] on that
// device: token t is written to slot slots[t], no slot twice.
// Each product and each sum is rounded to the dtype. Returns the rotated q [H, T, E].
// Writes in place, hence not for autograd: throws kInvalidArgument where a gradient would be lost.
at::Tensor rope_kv_append(const at::Tensor& qkv, const at::Tensor& cos, const at::Tensor& sin,
                          const at::Tensor& keys, const at::Tensor& values, const at::Tensor& slots,
                          int64_t num_heads, int64_t num_kv_heads);

// The plain version, the reference of every other.
at::Tensor rope_kv_append_reference(const at::Tensor& qkv, const at::Tensor& cos,
                                    const at::Tensor& sin, const at::Tensor& keys,
                                    const at::Tensor& values, const at::Tensor& slots,
                                    int64_t num_heads, int64_t num_kv_heads);

}  // namespace facellm
