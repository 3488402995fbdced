// The vision tower's two kinds of normalisation behind one call (InternViT-300M: LayerNorm,
// InternViT-6B: RMSNorm), and the text model's RMSNorm. Roundings: docs/internvl3.md, section 10.
#pragma once

#include <ATen/ATen.h>

#include "kernels/scale_add_norm/scale_add_norm.h"

namespace facellm {

struct Norm {
  at::Tensor weight;  // [D]
  at::Tensor bias;    // [D]; undefined for RMSNorm
  double eps = 1e-6;
  bool is_rms = false;

  static Norm empty(int64_t size, double eps, bool is_rms, const at::TensorOptions& options);
  // x [..., D] -> [..., D]
  at::Tensor operator()(const at::Tensor& x) const;
  // x + scale * delta, and the norm of it; x, delta [..., D], scale [D]. May overwrite delta (kernels/scale_add_norm).
  ScaleAddNorm after(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& scale) const;
};

}  // namespace facellm
