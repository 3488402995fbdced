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

// With the gradients below; keeps residual' alone (any device).
AddRmsNorm add_rms_norm_autograd(const at::Tensor& residual, const at::Tensor& delta,
                                 const at::Tensor& weight, double eps);

// The gradient of residual, and of delta: with x = residual' (`sum`), r = (mean(x^2) + eps)^-1/2, xhat = r * x and g = weight *
// of_normalised it is r * (g - xhat * mean(g * xhat)) + of_sum (undefined: none), in fp32, rounded once. All [..., D] of one dtype.
// Fused and refused as add_rms_norm.
at::Tensor add_rms_norm_backward(const at::Tensor& sum, const at::Tensor& weight, const at::Tensor& of_normalised, const at::Tensor& of_sum,
                                 double eps);
// The gradient of weight, [D]: the sum of of_normalised * xhat over all rows. By libtorch's operations on every device.
at::Tensor add_rms_norm_weight_backward(const at::Tensor& sum, const at::Tensor& of_normalised, double eps);

// The plain versions, the references of every other.
AddRmsNorm add_rms_norm_reference(const at::Tensor& residual, const at::Tensor& delta,
                                  const at::Tensor& weight, double eps);
at::Tensor add_rms_norm_backward_reference(const at::Tensor& sum, const at::Tensor& weight, const at::Tensor& of_normalised,
                                           const at::Tensor& of_sum, double eps);

}  // namespace facellm
