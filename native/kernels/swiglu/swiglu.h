// The gate of Qwen2's MLP (docs/internvl3.md, sections 9, 10).
#pragma once

#include <ATen/ATen.h>

namespace facellm {

// gate_up [..., 2F] (gate first, then up) -> [..., F] = round(round(silu(gate)) * up). fp32 or bf16,
// last dimension contiguous. Throws kInvalidArgument. One fused pass on CUDA and on a CPU (kernels/cpu/row_kernels.h); where
// autograd needs it, swiglu_autograd runs.
at::Tensor swiglu(const at::Tensor& gate_up);

// With swiglu_backward as its gradient; keeps gate_up alone (any device).
at::Tensor swiglu_autograd(const at::Tensor& gate_up);

// grad [..., F], of swiglu(gate_up) -> that of gate_up [..., 2F], one dtype. With s = sigmoid(gate): dy * up * s * (1 + gate * (1 - s)),
// and dy * gate * s; in fp32, rounded once. Fused as swiglu. Of any strides: what is not
// contiguous is copied. Refused: another shape, dtype or device than these.
at::Tensor swiglu_backward(const at::Tensor& gate_up, const at::Tensor& grad);

// The plain versions, the references of every other.
at::Tensor swiglu_reference(const at::Tensor& gate_up);
at::Tensor swiglu_backward_reference(const at::Tensor& gate_up, const at::Tensor& grad);

}  // namespace facellm
