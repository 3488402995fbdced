// Next-token cross-entropy from hidden states, without the [tokens, vocabulary] logits ever being whole:
// rows are taken a chunk at a time, and their gradient is made while their logits are at hand.
#pragma once

#include <ATen/ATen.h>

namespace facellm {

// sum over rows of -row_weight * log softmax(hidden W^T)[label] / denominator, fp32 scalar.
// hidden [R, D] and weight [V, D] of one float dtype, labels int64 [R], row_weights fp32 [R], or undefined where
// all rows count alike. Logits have the dtype of hidden, the softmax is fp32 (double stays double). Gradients
// reach hidden, and weight if it asks for one. chunk_rows 0: all rows at once.
at::Tensor linear_cross_entropy(const at::Tensor& hidden, const at::Tensor& weight,
                                const at::Tensor& labels, const at::Tensor& row_weights,
                                double denominator, int64_t chunk_rows);

// -log softmax(hidden W^T)[label] of each row, [R], with the same precision and chunks. No gradient.
at::Tensor row_cross_entropy(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& labels,
                             int64_t chunk_rows);

// The plain version: whole logits, libtorch's own cross-entropy; the test's reference.
at::Tensor linear_cross_entropy_reference(const at::Tensor& hidden, const at::Tensor& weight,
                                          const at::Tensor& labels, const at::Tensor& row_weights,
                                          double denominator);

}  // namespace facellm
