// The gate of Qwen2's MLP (docs/internvl3.md, sections 9, 10).
#pragma once

#include <ATen/ATen.h>

namespace facellm {

// gate_up [..., 2F] (gate first, then up) -> [..., F] = round(round(silu(gate)) * up). fp32 or bf16,
// last dimension contiguous. Throws kInvalidArgument. One fused pass on CUDA and on a CPU (kernels/cpu/row_kernels.h); where
// autograd needs it, swiglu_autograd runs.
at::Tensor swiglu(const at::Tensor& gate_up);

// With a hand-written backward pass that keeps gate_up alone (any device).
at::Tensor swiglu_autograd(const at::Tensor& gate_up);

// The plain version, the reference of every other.
at::Tensor swiglu_reference(const at::Tensor& gate_up);

}  // namespace facellm
