// Residual addition and the RMSNorm that follows it, one pass over memory (spec sections 9, 10).
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
// CUDA runs the fused kernel unless autograd needs the composed one.
AddRmsNorm add_rms_norm(const at::Tensor& residual, const at::Tensor& delta,
                        const at::Tensor& weight, double eps);

// The plain version: the CPU path, and the reference of every other.
AddRmsNorm add_rms_norm_reference(const at::Tensor& residual, const at::Tensor& delta,
                                  const at::Tensor& weight, double eps);

}  // namespace facellm
