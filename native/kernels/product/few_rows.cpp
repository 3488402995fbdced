#include "kernels/product/few_rows.h"

#include "kernels/common/checks.h"
#include "kernels/common/cuda_launch.h"
#include "kernels/product/few_rows_cuda.h"

namespace facellm {
namespace {

at::Tensor run(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, bool is_gated) {
#if FACELLM_CUDA
  auto shape = x.sizes().vec();
  shape.back() = weight.size(0) / (is_gated ? 2 : 1);
  const auto out = at::empty(shape, x.options());
  const FewRowsShape sizes{x.numel() / x.size(-1), x.size(-1), shape.back(), is_gated};
  cuda_launch("few_rows_product", x, [&](cudaStream_t stream) {
    few_rows_cuda(x.const_data_ptr(), weight.const_data_ptr(), bias.defined() ? bias.const_data_ptr() : nullptr,
                  out.mutable_data_ptr(), sizes, stream);
  });
  return out;
#else
  throw Error(ErrorCode::kDeviceNoCuda, "few_rows_product: this build has no CUDA");
#endif
}

}  // namespace

bool takes_few_rows(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (!x.is_cuda() || x.scalar_type() != at::kBFloat16 || x.numel() == 0 || needs_autograd({x, weight, bias})) return false;
  const int64_t in = x.size(-1);
  const auto is_plain = [&](const at::Tensor& matrix) {
    return matrix.scalar_type() == at::kBFloat16 && matrix.device() == x.device() && matrix.is_contiguous() &&
           reinterpret_cast<uintptr_t>(matrix.const_data_ptr()) % 16 == 0;
  };
  return x.numel() / in <= kMostFewRows && in % kFewRowsMultiple == 0 && in <= kMostFewRowsIn && weight.dim() == 2 && weight.size(1) == in &&
         is_plain(x) && is_plain(weight) && (!bias.defined() || (is_plain(bias) && bias.numel() == weight.size(0)));
}

at::Tensor few_rows_product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return run(x, weight, bias, false);
}

at::Tensor few_rows_swiglu(const at::Tensor& x, const at::Tensor& weight) { return run(x, weight, {}, true); }

}  // namespace facellm
