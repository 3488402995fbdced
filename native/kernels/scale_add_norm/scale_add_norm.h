// What stands between two halves of a vision layer (docs/internvl3.md, section 4): a branch scaled and added, and the LayerNorm after it.
#pragma once

#include <ATen/ATen.h>

namespace facellm {

struct ScaleAddNorm {
  at::Tensor sum;         // [..., D] x + scale * delta
  at::Tensor normalised;  // [..., D]
};

// sum = round(x + round(delta * scale)); normalised = round((sum - mean) * rsqrt(variance + eps) * weight + bias), fp32 inside.
// x, delta [..., D] of one shape; scale, weight, bias [D]; fp32 or bf16. One pass where all are contiguous and no
// gradient is asked for: on the CPU, and on CUDA in bf16, aligned, D a multiple of 8 up to 1,024; else the plain version. On
// the CPU delta becomes the sum, and by the plain version it is overwritten, too, unless autograd is on.
ScaleAddNorm scale_add_norm(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& scale, const at::Tensor& weight,
                            const at::Tensor& bias, double eps);

// The norm alone, of x; the same bits as above on the CPU.
at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps);

// The plain versions, the references of every other: of the sum, and of both.
at::Tensor scale_add(const at::Tensor& x, at::Tensor delta, const at::Tensor& scale);
ScaleAddNorm scale_add_norm_reference(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& scale, const at::Tensor& weight,
                                      const at::Tensor& bias, double eps);

}  // namespace facellm
