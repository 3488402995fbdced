#include "layers/frozen_weight.h"

#include <c10/core/GradMode.h>

#include <utility>

#include "kernels/common/checks.h"
#include "kernels/cpu/packed_matrix.h"
#include "kernels/dequantise/dequantise.h"
#include "kernels/product/product.h"
#include "layers/frozen_capsule.h"

namespace facellm {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Function : torch::autograd::Function<Function> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const std::optional<at::Tensor>& bias,
                            const std::shared_ptr<const FrozenWeight>& weight) {
    FrozenCapsule::keep(context, weight);
    return linear_product(x, weight->whole(), bias.value_or(at::Tensor()));
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto& dy = grads[0];
    const auto whole = FrozenCapsule::kept(context)->whole();
    auto shape = dy.sizes().vec();
    shape.back() = whole.size(1);
    return {product(dy.reshape({-1, dy.size(-1)}), whole).view(shape), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor WeightScratch::of(int64_t rows, int64_t inner) {
  if (!memory_.defined()) memory_ = at::empty({numel_}, options_);
  return memory_.narrow(0, 0, rows * inner).view({rows, inner});
}

FrozenWeight::FrozenWeight(std::shared_ptr<const PackedMatrix> packed, std::shared_ptr<WeightScratch> scratch)
    : scheme_(packed->scheme()),
      weight_rows_(packed->weight_rows()),
      inner_(packed->inner()),
      scratch_(std::move(scratch)) {
  const auto device = scratch_->options().device();
  if (device.is_cpu()) {
    packed_ = std::move(packed);
  } else {
    blocks_ = at::from_blob(packed->blocks_begin(), {packed->blocks(), packed->block_bytes()}, at::kByte).to(device);
  }
}

at::Tensor FrozenWeight::whole() const {
  const c10::NoGradGuard no_grad;
  const auto out = scratch_->of(weight_rows_, inner_);
  if (packed_) {
    packed_->write_rows(out);
  } else {
    dequantise_blocks(blocks_, scheme_, out);
  }
  return out;
}

at::Tensor FrozenWeight::rows(int64_t begin, int64_t count) const {
  const c10::NoGradGuard no_grad;
  if (packed_) return packed_->rows(begin, count).to(scratch_->options());
  const int64_t first = begin / kBlockRows, last = (begin + count + kBlockRows - 1) / kBlockRows;
  const auto out = at::empty({(last - first) * kBlockRows, inner_}, scratch_->options());
  dequantise_blocks(blocks_.narrow(0, first, last - first), scheme_, out);
  return out.narrow(0, begin - first * kBlockRows, count);
}

int64_t FrozenWeight::bytes() const {
  return packed_ ? packed_->blocks() * packed_->block_bytes() : static_cast<int64_t>(blocks_.nbytes());
}

at::Tensor frozen_product(const at::Tensor& x, const std::shared_ptr<const FrozenWeight>& weight, const at::Tensor& bias) {
  if (!needs_autograd({x})) return linear_product(x, weight->whole(), bias);
  // Autograd's functions take no undefined tensor.
  return Function::apply(x, bias.defined() ? std::make_optional(bias) : std::nullopt, weight);
}

}  // namespace facellm
