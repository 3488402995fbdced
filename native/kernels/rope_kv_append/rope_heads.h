// The rotation of packed sequences in training: rope_kv_append into memory of one's own, with its gradient.
#pragma once

#include <ATen/ATen.h>

namespace facellm {

struct RopeHeads {
  at::Tensor q;             // [H, T, E]
  at::Tensor keys, values;  // [K, T, E]
};

// qkv [T, (H + 2 K) * E], contiguous; cos, sin [T, E]; slots int64 [T] on that device, 0 to T - 1 in order: one of all layers.
// Roundings, dtypes and errors as in rope_kv_append. Differentiable in qkv.
RopeHeads rope_heads(const at::Tensor& qkv, const at::Tensor& cos, const at::Tensor& sin, const at::Tensor& slots, int64_t num_heads,
                     int64_t num_kv_heads);

// Gradients of the three, of any strides, to that of qkv, contiguous: each pair turned the other way round, products rounded before
// they are added. Fused as rope_kv_append.
at::Tensor rope_backward(const RopeHeads& grads, const at::Tensor& cos, const at::Tensor& sin);

// The plain version, the reference of every other.
at::Tensor rope_backward_reference(const RopeHeads& grads, const at::Tensor& cos, const at::Tensor& sin);

}  // namespace facellm
