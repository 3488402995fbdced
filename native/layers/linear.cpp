#include "layers/linear.h"

#include "kernels/common/checks.h"
#include "kernels/cpu/gelu.h"
#include "kernels/cpu/packed_matrix.h"
#include "kernels/product/few_rows.h"
#include "kernels/product/product.h"
#include "kernels/swiglu/swiglu.h"
#include "layers/frozen_weight.h"

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
  return extension ? extension->forward(*this, x) : product(x);
}

bool Linear::takes_packed(const at::Tensor& x) const { return packed && packed->suits(x) && !needs_autograd({x, bias}); }

at::Tensor Linear::product(const at::Tensor& x) const {
  if (frozen) return frozen_product(x, frozen, bias);
  if (takes_packed(x)) return packed->product(x, bias);
  return takes_few_rows(x, weight, bias) ? few_rows_product(x, weight, bias) : linear_product(x, weight, bias);
}

at::Tensor Linear::gated(const at::Tensor& x) const {
  if (frozen && !extension && !bias.defined() && !needs_autograd({x})) return frozen->gated(x);
  const bool is_one_pass = !extension && !packed && !frozen && !bias.defined() && takes_few_rows_swiglu(x, weight);
  return is_one_pass ? few_rows_swiglu(x, weight) : swiglu((*this)(x));
}

at::Tensor Linear::gelu(const at::Tensor& x) const {
  if (!extension && !frozen && takes_packed(x)) return packed->product(x, bias, Activation::kGelu);
  return erf_gelu((*this)(x));
}

at::Tensor Linear::weight_rows(int64_t begin, int64_t count) const {
  if (frozen) return frozen->rows(begin, count);
  return weight.is_meta() && packed ? packed->rows(begin, count) : weight.narrow(0, begin, count);
}

}  // namespace facellm
