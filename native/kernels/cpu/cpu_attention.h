// Attention of queries to keys, all of them or those up to their own, by the processor's own kernels (attention_kernels.h).
#pragma once

#include <ATen/ATen.h>

namespace facellm {

// Whether there are kernels for heads of this size on this device in this dtype: cpu_attention() takes any number of them.
bool has_cpu_attention(const at::TensorOptions& options, int64_t head_dim);
// Whether it takes these and is at least as fast as libtorch: bf16 on a CPU with kernels of its own, heads of a multiple of 32, enough
// queries that packing keys is worth it.
bool takes_cpu_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool is_causal);

// q [N, H, L, D], k and v [N, K, S, D] bf16, whose last dimension is contiguous -> [N, L, H * D], as
// softmax(q k^T / sqrt(D)) v with probabilities rounded to bf16. Query head h reads key/value head h / (H / K). Causal: query m
// sees the first S - L + m + 1 keys, S >= L. Of finite values a row's bits depend on nothing but that row and the keys and
// values that it sees.
// log_sums, where wanted: fp32 [N, H, L], the logarithms of the sums of exp(score).
at::Tensor cpu_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool is_causal, at::Tensor* log_sums = nullptr);

}  // namespace facellm
