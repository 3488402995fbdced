#include "kernels/add_rms_norm/add_rms_norm.h"

#include "kernels/add_rms_norm/add_rms_norm_cuda.h"
#include "kernels/common/checks.h"
#include "kernels/common/cuda_launch.h"
#include "kernels/common/rows.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/row_work.h"

namespace facellm {
namespace {

void check_add_rms_norm(const at::Tensor& residual, const at::Tensor& delta, const at::Tensor& weight) {
  KernelChecks checks("add_rms_norm");
  checks.require_float(residual, "residual");
  checks.require(residual.dim() >= 1, "residual: expected at least one dimension");
  checks.require_same(weight, residual, "weight");
  if (residual.dim() >= 1) checks.require_shape(weight, {residual.size(-1)}, "weight");
  if (delta.defined()) {
    checks.require_same(delta, residual, "delta");
    checks.require_shape(delta, residual.sizes(), "delta");
  }
  checks.finish();
}

AddRmsNorm fused(const at::Tensor& residual, const at::Tensor& delta, const at::Tensor& weight,
                 double eps) {
  // The 6B tower's q and k are slices of one product: read where they lie.
  const auto x = row_stride(residual) ? residual : residual.contiguous();
  const auto d = delta.defined() ? delta.contiguous() : delta;
  const auto w = weight.contiguous();
  const auto sum = delta.defined() ? at::empty(x.sizes(), x.options()) : residual;
  const auto normalised = at::empty(x.sizes(), x.options());
  const int64_t size = x.size(-1), rows = x.numel() / std::max<int64_t>(size, 1);
  if (rows == 0) return {sum, normalised};
  if (x.is_cpu()) {
    const NormRows job{x.const_data_ptr(),
                       d.defined() ? d.const_data_ptr() : nullptr,
                       w.const_data_ptr(),
                       d.defined() ? sum.mutable_data_ptr() : nullptr,
                       normalised.mutable_data_ptr(),
                       size,
                       *row_stride(x),
                       static_cast<float>(eps),
                       x.scalar_type() == at::kBFloat16};
    for_rows(rows, size, [&](int64_t begin, int64_t end) { row_kernels().add_rms_norm(&job, begin, end); });
    return {sum, normalised};
  }
#if FACELLM_CUDA
  cuda_launch("add_rms_norm", x, [&](cudaStream_t stream) {
    add_rms_norm_cuda(x.const_data_ptr(), d.defined() ? d.const_data_ptr() : nullptr,
                      w.const_data_ptr(), delta.defined() ? sum.mutable_data_ptr() : nullptr,
                      normalised.mutable_data_ptr(), rows, size, *row_stride(x), static_cast<float>(eps),
                      x.scalar_type() == at::kBFloat16, stream);
  });
  return {sum, normalised};
#else
  throw Error(ErrorCode::kDeviceNoCuda, "add_rms_norm: this build has no CUDA");
#endif
}

}  // namespace

AddRmsNorm add_rms_norm(const at::Tensor& residual, const at::Tensor& delta,
                        const at::Tensor& weight, double eps) {
  check_add_rms_norm(residual, delta, weight);
  if (needs_autograd({residual, delta, weight})) {
    return add_rms_norm_autograd(residual, delta, weight, eps);
  }
  const bool is_fused = takes_row_kernels(residual) || (residual.is_cuda() && residual.size(-1) <= kLargestFusedNormRow);
  if (is_fused) return fused(residual, delta, weight, eps);
  return add_rms_norm_reference(residual, delta, weight, eps);
}

}  // namespace facellm
