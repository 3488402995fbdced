#include "layers/linear.h"

#include "kernels/product/product.h"

namespace facellm {

Linear Linear::empty(int64_t in, int64_t out, bool has_bias, const at::TensorOptions& options) {
  Linear linear;
  linear.weight = at::empty({out, in}, options);
  if (has_bias) linear.bias = at::empty({out}, options);
  return linear;
}

Linear Linear::without_weight(int64_t in, int64_t out, bool has_bias, const at::TensorOptions& options) {
  Linear linear;
  linear.weight = at::empty({out, in}, options.device(at::kMeta));
  if (has_bias) linear.bias = at::empty({out}, options);
  return linear;
}

at::Tensor Linear::operator()(const at::Tensor& x) const {
  return extension ? extension->forward(*this, x) : linear_product(x, weight, bias);
}

}  // namespace facellm
