// Scaled dot-product attention over grouped heads, scale E^-1/2, softmax in fp32 (libtorch's fused
// kernels). Query head h reads key/value head h / (H / K). Where bf16 products are slow (kernels/product)
// kWidenedRows queries and more are answered in fp32 and rounded once. What takes_cpu_attention() (kernels/cpu)
// takes is answered there, the same with gradients and without.
#pragma once

#include <ATen/ATen.h>

namespace facellm {

// q [B, H, T, E]; k, v [B, K, S, E]; mask bool [T, S] or [B or 1, 1, T, S] (true: may attend) or undefined.
// is_causal, without a mask: the queries are of the last T tokens, and see those up to themselves (fewer queries than tokens with
// gradients: by libtorch's). Returns [B, T, H * E].
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const at::Tensor& mask, bool is_causal);

// bool [count, length], true: may attend; of queries of the last `count` of `length` tokens.
at::Tensor causal_mask(int64_t count, int64_t length, at::Device device);

}  // namespace facellm
