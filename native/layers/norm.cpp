#include "layers/norm.h"

#include "kernels/add_rms_norm/add_rms_norm.h"

namespace facellm {

Norm Norm::empty(int64_t size, double eps, bool is_rms, const at::TensorOptions& options) {
  Norm norm;
  norm.weight = at::empty({size}, options);
  if (!is_rms) norm.bias = at::empty({size}, options);
  norm.eps = eps;
  norm.is_rms = is_rms;
  return norm;
}

at::Tensor Norm::operator()(const at::Tensor& x) const {
  if (is_rms) return add_rms_norm(x, at::Tensor(), weight, eps).normalised;
  return layer_norm(x, weight, bias, eps);
}

ScaleAddNorm Norm::after(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& scale) const {
  if (!is_rms) return scale_add_norm(x, delta, scale, weight, bias, eps);
  const auto sum = scale_add(x, delta, scale);
  return {sum, (*this)(sum)};
}

}  // namespace facellm
