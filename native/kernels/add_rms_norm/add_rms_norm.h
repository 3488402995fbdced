// Residual addition and the RMSNorm that follows it, in one pass (docs/internvl3.md, sections 9, 10).
#pragma once

#include <ATen/ATen.h>

namespace facellm {

struct AddRmsNorm {
  at::Tensor residual;    // [..., D] residual + delta
  at::Tensor normalised;  // [..., D]
};

// residual' = residual + delta, one rounding (delta undefined: residual' is residual);
// normalised = round(round(residual' * rsqrt(mean(residual'^2) + eps)) * weight), fp32 inside.
// residual, delta [..., D]; weight [D]; one dtype (fp32 or bf16) and device. Throws kInvalidArgument.
// One fused pass on CUDA and on a CPU (kernels/cpu/row_kernels.h); where autograd needs it, add_rms_norm_autograd runs.
AddRmsNorm add_rms_norm(const at::Tensor& residual, const at::Tensor& delta,
                        const at::Tensor& weight, double eps);

// With a hand-written backward pass that keeps residual' and one fp32 number a row (any device).
AddRmsNorm add_rms_norm_autograd(const at::Tensor& residual, const at::Tensor& delta,
                                 const at::Tensor& weight, double eps);

// The plain version, the reference of every other.
AddRmsNorm add_rms_norm_reference(const at::Tensor& residual, const at::Tensor& delta,
                                  const at::Tensor& weight, double eps);

}  // namespace facellm
