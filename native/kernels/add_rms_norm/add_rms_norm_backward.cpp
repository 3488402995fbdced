#include "kernels/add_rms_norm/add_rms_norm.h"
#include "kernels/add_rms_norm/add_rms_norm_cuda.h"
#include "kernels/common/checks.h"
#include "kernels/common/cuda_launch.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/row_work.h"

namespace facellm {
namespace {

void check(const at::Tensor& sum, const at::Tensor& weight, const at::Tensor& of_normalised, const at::Tensor& of_sum) {
  KernelChecks checks("add_rms_norm_backward");
  checks.require_float(sum, "sum");
  checks.require(sum.dim() >= 1, "sum: expected at least one dimension");
  checks.finish();
  checks.require_same(weight, sum, "weight");
  checks.require_shape(weight, {sum.size(-1)}, "weight");
  checks.require_same(of_normalised, sum, "of_normalised");
  checks.require_shape(of_normalised, sum.sizes(), "of_normalised");
  if (of_sum.defined()) {
    checks.require_same(of_sum, sum, "of_sum");
    checks.require_shape(of_sum, sum.sizes(), "of_sum");
  }
  checks.finish();
}

at::Tensor wide(const at::Tensor& x) { return x.scalar_type() == at::kDouble ? x : x.to(at::kFloat); }

at::Tensor scale_of(const at::Tensor& x, double eps) { return at::rsqrt(x.pow(2).mean(-1, /*keepdim=*/true) + eps); }

}  // namespace

at::Tensor add_rms_norm_backward(const at::Tensor& sum, const at::Tensor& weight, const at::Tensor& of_normalised, const at::Tensor& of_sum,
                                 double eps) {
  check(sum, weight, of_normalised, of_sum);
  if (!sum.is_cuda() && !takes_row_kernels(sum)) return add_rms_norm_backward_reference(sum, weight, of_normalised, of_sum, eps);
  const auto x = sum.contiguous(), w = weight.contiguous(), dy = of_normalised.contiguous();
  const auto other = of_sum.defined() ? of_sum.contiguous() : of_sum;
  const auto out = at::empty(x.sizes(), x.options());
  if (out.numel() == 0) return out;
  const int64_t size = x.size(-1), rows = x.numel() / size;
  const void* const added = other.defined() ? other.const_data_ptr() : nullptr;
  const bool is_bf16 = x.scalar_type() == at::kBFloat16;
  if (x.is_cpu()) {
    const NormBackwardRows job{x.const_data_ptr(),     w.const_data_ptr(), dy.const_data_ptr(), added,
                               out.mutable_data_ptr(), size,               static_cast<float>(eps), is_bf16};
    for_rows(rows, size, [&](int64_t begin, int64_t end) { row_kernels().add_rms_norm_backward(&job, begin, end); });
    return out;
  }
#if FACELLM_CUDA
  cuda_launch("add_rms_norm_backward", x, [&](cudaStream_t stream) {
    add_rms_norm_backward_cuda(x.const_data_ptr(), w.const_data_ptr(), dy.const_data_ptr(), added, out.mutable_data_ptr(), rows, size,
                               static_cast<float>(eps), is_bf16, stream);
  });
  return out;
#else
  throw Error(ErrorCode::kDeviceNoCuda, "add_rms_norm_backward: this build has no CUDA");
#endif
}

at::Tensor add_rms_norm_backward_reference(const at::Tensor& sum, const at::Tensor& weight, const at::Tensor& of_normalised,
                                           const at::Tensor& of_sum, double eps) {
  const auto x = wide(sum), scale = scale_of(x, eps), normalised = x * scale;
  const auto g = wide(of_normalised) * wide(weight);
  auto dx = (g - normalised * (g * normalised).mean(-1, /*keepdim=*/true)) * scale;
  if (of_sum.defined()) dx = dx + wide(of_sum);
  return dx.to(sum.scalar_type());
}

at::Tensor add_rms_norm_weight_backward(const at::Tensor& sum, const at::Tensor& of_normalised, double eps) {
  const auto x = wide(sum);
  return (wide(of_normalised) * (x * scale_of(x, eps))).flatten(0, -2).sum(0).to(sum.scalar_type());
}

}  // namespace facellm
