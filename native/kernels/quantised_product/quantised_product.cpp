#include "kernels/quantised_product/quantised_product.h"

#include "kernels/common/checks.h"
#include "kernels/common/cuda_launch.h"
#include "kernels/quantised_product/quantised_product_cuda.h"

namespace facellm {
namespace {

at::Tensor run(const at::Tensor& x, const PackedBlocks& weight, const at::Tensor& bias, bool is_gated) {
#if FACELLM_CUDA
  auto shape = x.sizes().vec();
  shape.back() = weight.weight_rows / (is_gated ? 2 : 1);
  const auto out = at::empty(shape, x.options());
  const QuantisedProductShape sizes{x.numel() / weight.inner, weight.inner, shape.back(), weight.blocks.size(1), weight.scheme.group,
                                    is_gated};
  cuda_launch("quantised_product", x, [&](cudaStream_t stream) {
    quantised_product_cuda(weight.scheme.form, x.const_data_ptr(), weight.blocks.const_data_ptr(),
                           bias.defined() ? bias.const_data_ptr() : nullptr, out.mutable_data_ptr(), sizes, stream);
  });
  return out;
#else
  throw Error(ErrorCode::kDeviceNoCuda, "quantised_product: this build has no CUDA");
#endif
}

}  // namespace

bool takes_quantised_product(const at::Tensor& x, const PackedBlocks& weight, const at::Tensor& bias) {
  const int64_t inner = weight.inner;
  if (!x.is_cuda() || x.device() != weight.blocks.device() || x.numel() == 0 || needs_autograd({x, bias})) return false;
  const auto is_plain = [](const at::Tensor& tensor) { return tensor.scalar_type() == at::kBFloat16 && tensor.is_contiguous(); };
  const bool has_whole_groups = weight.scheme.form != WeightForm::kInt4 || inner % weight.scheme.group == 0;
  const bool has_whole_records = weight.scheme.form != WeightForm::kNf4 || inner % 64 == 0;
  const bool has_bias = bias.defined();
  if (has_bias && (!is_plain(bias) || bias.device() != x.device() || bias.numel() != weight.weight_rows)) return false;
  return is_plain(x) && reinterpret_cast<uintptr_t>(x.const_data_ptr()) % 16 == 0 && x.numel() / inner <= kMostQuantisedRows &&
         inner % kQuantisedMultiple == 0 && has_whole_groups && has_whole_records;
}

bool takes_quantised_swiglu(const at::Tensor& x, const PackedBlocks& weight) {
  return weight.weight_rows % (2 * kBlockRows) == 0 && takes_quantised_product(x, weight);
}

at::Tensor quantised_product(const at::Tensor& x, const PackedBlocks& weight, const at::Tensor& bias) {
  return run(x, weight, bias, false);
}

at::Tensor quantised_swiglu(const at::Tensor& x, const PackedBlocks& weight) { return run(x, weight, {}, true); }

}  // namespace facellm
