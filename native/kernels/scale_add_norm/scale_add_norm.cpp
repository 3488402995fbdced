#include "kernels/scale_add_norm/scale_add_norm.h"

#include <c10/core/GradMode.h>

#include "kernels/common/checks.h"
#include "kernels/common/cuda_launch.h"
#include "kernels/scale_add_norm/scale_add_norm_cuda.h"

namespace facellm {
namespace {

#if FACELLM_CUDA
bool takes(const at::Tensor& x, std::initializer_list<at::Tensor> rows, std::initializer_list<at::Tensor> columns) {
  const auto is_plain = [&](const at::Tensor& tensor) {
    return tensor.scalar_type() == at::kBFloat16 && tensor.device() == x.device() && tensor.is_contiguous() &&
           reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % 16 == 0;
  };
  const int64_t size = x.size(-1);
  if (!x.is_cuda() || x.numel() == 0 || size > kMostScaleAddNorm || size % 8 != 0 || !is_plain(x)) return false;
  for (const auto& one : rows) {
    if (!is_plain(one) || one.sizes() != x.sizes()) return false;
  }
  for (const auto& one : columns) {
    if (!is_plain(one) || one.numel() != size) return false;
  }
  return !needs_autograd(rows) && !needs_autograd(columns) && !needs_autograd({x});
}
#endif

}  // namespace

ScaleAddNorm scale_add_norm(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& scale, const at::Tensor& weight,
                            const at::Tensor& bias, double eps) {
#if FACELLM_CUDA
  if (takes(x, {delta}, {scale, weight, bias})) {
    const auto sum = at::empty_like(x), normalised = at::empty_like(x);
    cuda_launch("scale_add_norm", x, [&](cudaStream_t stream) {
      scale_add_norm_cuda(x.const_data_ptr(), delta.const_data_ptr(), scale.const_data_ptr(), weight.const_data_ptr(), bias.const_data_ptr(),
                          sum.mutable_data_ptr(), normalised.mutable_data_ptr(), x.numel() / x.size(-1), x.size(-1), static_cast<float>(eps), stream);
    });
    return {sum, normalised};
  }
#endif
  return scale_add_norm_reference(x, delta, scale, weight, bias, eps);
}

at::Tensor scale_add(const at::Tensor& x, at::Tensor delta, const at::Tensor& scale) {
  if (c10::GradMode::is_enabled()) return delta * scale + x;
  return delta.mul_(scale).add_(x);
}

ScaleAddNorm scale_add_norm_reference(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& scale, const at::Tensor& weight,
                                      const at::Tensor& bias, double eps) {
  const auto sum = scale_add(x, delta, scale);
  return {sum, at::layer_norm(sum, weight.sizes(), weight, bias, eps)};
}

}  // namespace facellm
