#include "kernels/cross_entropy/cross_entropy.h"

#include <cmath>

#include "kernels/common/checks.h"
#include "kernels/common/cuda_launch.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/row_work.h"
#include "kernels/cross_entropy/cross_entropy_cuda.h"

namespace facellm {
namespace {

void check_cross_entropy(const at::Tensor& logits, const at::Tensor& labels, const at::Tensor& scales) {
  KernelChecks checks("cross_entropy");
  checks.require_float(logits, "logits");
  checks.require(logits.dim() == 2 && logits.is_contiguous(), "logits: expected 2 dimensions, contiguous");
  checks.require(labels.scalar_type() == at::kLong && labels.device() == logits.device() && labels.is_contiguous(),
                 "labels: expected contiguous int64 on the device of logits");
  checks.require(!needs_autograd({logits}), "logits: expected none that ask for a gradient");
  checks.finish();
  checks.require_shape(labels, {logits.size(0)}, "labels");
  if (scales.defined()) {
    checks.require_shape(scales, {logits.size(0)}, "scales");
    checks.require(scales.device() == logits.device() && scales.is_contiguous() &&
                       scales.scalar_type() == (logits.scalar_type() == at::kDouble ? at::kDouble : at::kFloat),
                   "scales: expected contiguous fp32 on the device of logits");
  }
  checks.finish();
  if (!labels.is_cpu()) return;
  for (int64_t row = 0; row < labels.size(0); ++row) {
    const int64_t label = labels.const_data_ptr<int64_t>()[row];
    if (label < 0 || label >= logits.size(1)) checks.add("labels: row " + std::to_string(row) + " has " + std::to_string(label));
  }
  checks.finish();
}

at::Tensor fused_on_cpu(const at::Tensor& logits, const at::Tensor& labels, const at::Tensor& scales) {
  const int64_t rows = logits.size(0), size = logits.size(1);
  const auto losses = at::empty({rows}, logits.options().dtype(at::kFloat)), totals = at::empty_like(losses);
  float* const own = losses.mutable_data_ptr<float>();
  const CrossEntropyRows job{logits.mutable_data_ptr(),
                             labels.const_data_ptr<int64_t>(),
                             scales.defined() ? scales.const_data_ptr<float>() : nullptr,
                             own,
                             totals.mutable_data_ptr<float>(),
                             size,
                             logits.scalar_type() == at::kBFloat16};
  for_rows(rows, size, [&](int64_t begin, int64_t end) {
    row_kernels().cross_entropy(&job, begin, end);
    for (int64_t row = begin; row < end; ++row) own[row] += std::log(job.totals[row]);
  });
  return losses;
}

at::Tensor run(const at::Tensor& logits, const at::Tensor& labels, const at::Tensor& scales) {
  check_cross_entropy(logits, labels, scales);
  if (takes_row_kernels(logits)) return fused_on_cpu(logits, labels, scales);
  if (!logits.is_cuda()) return cross_entropy_reference(logits, labels, scales);
#if FACELLM_CUDA
  const auto losses = at::empty({logits.size(0)}, logits.options().dtype(at::kFloat));
  if (losses.numel() == 0) return losses;
  cuda_launch("cross_entropy", logits, [&](cudaStream_t stream) {
    cross_entropy_cuda(logits.mutable_data_ptr(), labels.const_data_ptr<int64_t>(), scales.defined() ? scales.const_data_ptr<float>() : nullptr,
                       losses.mutable_data_ptr<float>(), logits.size(0), logits.size(1), logits.scalar_type() == at::kBFloat16, stream);
  });
  return losses;
#else
  throw Error(ErrorCode::kDeviceNoCuda, "cross_entropy: this build has no CUDA");
#endif
}

}  // namespace

at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& labels) { return run(logits, labels, at::Tensor()); }

at::Tensor cross_entropy_backward_(const at::Tensor& logits, const at::Tensor& labels, const at::Tensor& scales) {
  return run(logits, labels, scales);
}

at::Tensor cross_entropy_reference(const at::Tensor& logits, const at::Tensor& labels, const at::Tensor& scales) {
  const auto wide = logits.scalar_type() == at::kDouble ? logits : logits.to(at::kFloat);
  const auto log_probs = at::log_softmax(wide, 1), index = labels.unsqueeze(1);
  const auto losses = -log_probs.gather(1, index).squeeze(1);
  if (scales.defined()) {
    auto gradient = log_probs.exp();
    gradient.scatter_add_(1, index, at::full_like(index, -1, gradient.options()));
    logits.copy_(gradient.mul_(scales.unsqueeze(1)));
  }
  return losses;
}

}  // namespace facellm
