#include "kernels/scale_add_norm/scale_add_norm.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <initializer_list>

#include "kernels/common/checks.h"
#include "kernels/common/cuda_launch.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/row_work.h"
#include "kernels/scale_add_norm/scale_add_norm_cuda.h"

namespace facellm {
namespace {

// Whether all are plain numbers of x's kind, `rows` of its shape and `columns` of a row's, and no gradient is asked for.
bool are_plain(const at::Tensor& x, std::initializer_list<at::Tensor> rows, std::initializer_list<at::Tensor> columns) {
  const auto is_plain = [&](const at::Tensor& tensor) {
    return tensor.scalar_type() == x.scalar_type() && tensor.device() == x.device() && tensor.is_contiguous();
  };
  if (x.numel() == 0 || !is_plain(x) || needs_autograd(rows) || needs_autograd(columns) || needs_autograd({x})) return false;
  const auto is_row = [&](const at::Tensor& one) { return is_plain(one) && one.sizes() == x.sizes(); };
  const auto is_column = [&](const at::Tensor& one) { return is_plain(one) && one.numel() == x.size(-1); };
  return std::all_of(rows.begin(), rows.end(), is_row) && std::all_of(columns.begin(), columns.end(), is_column);
}

// delta and scale undefined for the norm alone.
ScaleAddNorm by_rows(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& scale, const at::Tensor& weight, const at::Tensor& bias,
                     double eps) {
  const bool has_delta = delta.defined();
  // In delta's place, whose lines are near.
  const auto sum = !has_delta ? x : c10::GradMode::is_enabled() ? at::empty_like(x) : delta, normalised = at::empty_like(x);
  const int64_t size = x.size(-1);
  const ScaleNormRows job{x.const_data_ptr(),
                          has_delta ? delta.const_data_ptr() : nullptr,
                          has_delta ? scale.const_data_ptr() : nullptr,
                          weight.const_data_ptr(),
                          bias.const_data_ptr(),
                          has_delta ? sum.mutable_data_ptr() : nullptr,
                          normalised.mutable_data_ptr(),
                          size,
                          static_cast<float>(eps),
                          x.scalar_type() == at::kBFloat16};
  for_rows(x.numel() / size, size, [&](int64_t begin, int64_t end) { row_kernels().scale_add_norm(&job, begin, end); });
  return {sum, normalised};
}

#if FACELLM_CUDA
bool takes_cuda(const at::Tensor& x, std::initializer_list<at::Tensor> others) {
  const auto is_aligned = [](const at::Tensor& tensor) { return reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % 16 == 0; };
  return x.is_cuda() && x.scalar_type() == at::kBFloat16 && x.size(-1) <= kMostScaleAddNorm && x.size(-1) % 8 == 0 && is_aligned(x) &&
         std::all_of(others.begin(), others.end(), is_aligned);
}
#endif

}  // namespace

ScaleAddNorm scale_add_norm(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& scale, const at::Tensor& weight,
                            const at::Tensor& bias, double eps) {
  if (!are_plain(x, {delta}, {scale, weight, bias})) return scale_add_norm_reference(x, delta, scale, weight, bias, eps);
  if (takes_row_kernels(x)) return by_rows(x, delta, scale, weight, bias, eps);
#if FACELLM_CUDA
  if (takes_cuda(x, {delta, scale, weight, bias})) {
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

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps) {
  if (takes_row_kernels(x) && are_plain(x, {}, {weight, bias})) return by_rows(x, at::Tensor(), at::Tensor(), weight, bias, eps).normalised;
  return at::layer_norm(x, weight.sizes(), weight, bias, eps);
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
