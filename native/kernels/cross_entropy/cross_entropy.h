// Losses of rows of logits, and their gradients in the logits' place (docs/internvl3.md, section 11).
#pragma once

#include <ATen/ATen.h>

namespace facellm {

// logits [R, V] of fp32 or bf16, contiguous; labels int64 [R] on their device -> fp32 [R], -log softmax(logits)[label], fp32 inside. Throws
// kInvalidArgument; a label outside the vocabulary is refused on a CPU, and has the loss NaN on a GPU.
// One fused pass on CUDA and on a CPU (kernels/cpu/row_kernels.h). Not differentiable.
at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& labels);

// The same, and logits become scales * (softmax - one-hot), rounded once: the gradient of the sum of scales * losses. scales fp32 [R].
at::Tensor cross_entropy_backward_(const at::Tensor& logits, const at::Tensor& labels, const at::Tensor& scales);

// The plain versions, of fp64 on a CPU, too: `scales` undefined for losses alone.
at::Tensor cross_entropy_reference(const at::Tensor& logits, const at::Tensor& labels, const at::Tensor& scales);

}  // namespace facellm
