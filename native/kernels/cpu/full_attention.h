// Attention of every query to every key, by the processor's own kernels (attention_kernels.h).
#pragma once

#include <ATen/ATen.h>

namespace facellm {

// Whether full_attention() takes these and is at least as fast as libtorch: bf16 on a CPU with kernels of its own, in a pass that
// answers (training, which computes layers with and without gradients, has one kernel for both), as many heads of keys as of queries, heads of a multiple of 32, enough queries that packing keys is worth it.
bool takes_full_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

// q [N, H, L, D], k and v [N, H, S, D] bf16, whose last dimension is contiguous -> [N, L, H * D], as
// softmax(q k^T / sqrt(D)) v with probabilities rounded to bf16. A row's bits depend on nothing but that row, k and v.
at::Tensor full_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

}  // namespace facellm
