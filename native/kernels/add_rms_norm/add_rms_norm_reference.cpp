#include "kernels/add_rms_norm/add_rms_norm.h"

namespace facellm {

AddRmsNorm add_rms_norm_reference(const at::Tensor& residual, const at::Tensor& delta,
                                  const at::Tensor& weight, double eps) {
  const auto sum = delta.defined() ? residual + delta : residual;
  // double stays double, so that the reference can serve as its own truth in tests.
  const auto x = sum.scalar_type() == at::kDouble ? sum : sum.to(at::kFloat);
  const auto scale = at::rsqrt(x.pow(2).mean(-1, /*keepdim=*/true) + eps);
  return {sum, (x * scale).to(sum.scalar_type()) * weight};
}

}  // namespace facellm
