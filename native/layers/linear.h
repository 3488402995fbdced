// y = x W^T + b with weight [out, in] as checkpoints store it; one rounding, after the bias.
#pragma once

#include <ATen/ATen.h>

namespace facellm {

struct Linear {
  at::Tensor weight;  // [out, in]
  at::Tensor bias;    // [out] or undefined

  static Linear empty(int64_t in, int64_t out, bool has_bias, const at::TensorOptions& options);
  // x [..., in] -> [..., out]
  at::Tensor operator()(const at::Tensor& x) const;
};

}  // namespace facellm
