#include "layers/frozen_weight.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <utility>

#include "kernels/common/checks.h"
#include "kernels/cpu/packed_matrix.h"
#include "kernels/dequantise/dequantise.h"
#include "kernels/product/product.h"
#include "kernels/swiglu/swiglu.h"
#include "layers/frozen_capsule.h"

namespace facellm {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct FrozenProductFunction : torch::autograd::Function<FrozenProductFunction> {
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
    : own_{{}, packed->scheme(), packed->weight_rows(), packed->inner()}, scratch_(std::move(scratch)) {
  const auto device = scratch_->options().device();
  if (device.is_cpu()) {
    packed_ = std::move(packed);
  } else {
    own_.blocks = at::from_blob(packed->blocks_begin(), {packed->blocks(), packed->block_bytes()}, at::kByte).to(device);
  }
}

// Rows of `out`, [.., K], from block `begin_block` on.
void FrozenWeight::put_back(int64_t begin_block, const at::Tensor& out) const {
  dequantise_blocks(own_.blocks.narrow(0, begin_block, (out.size(0) + kBlockRows - 1) / kBlockRows), own_.scheme, out);
}

at::Tensor FrozenWeight::whole() const {
  const c10::NoGradGuard no_grad;
  const auto out = scratch_->of(own_.weight_rows, own_.inner);
  if (packed_) {
    packed_->write_rows(out);
  } else {
    put_back(0, out);
  }
  return out;
}

at::Tensor FrozenWeight::product(const at::Tensor& x, const at::Tensor& bias) const {
  if (packed_ || scratch_->is_trained()) return linear_product(x, whole(), bias);
  if (takes_quantised_product(x, own_, bias)) return quantised_product(x, own_, bias);
  const int64_t rows = own_.weight_rows, inner = own_.inner;
  const int64_t step = std::max<int64_t>(scratch_->numel() / (inner * kBlockRows), 1) * kBlockRows;
  if (step >= rows) return linear_product(x, whole(), bias);
  auto shape = x.sizes().vec();
  shape.back() = rows;
  const auto out = at::empty(shape, x.options());
  for (int64_t begin = 0; begin < rows; begin += step) {
    const int64_t count = std::min(step, rows - begin);
    const auto part = scratch_->of(count, inner);
    put_back(begin / kBlockRows, part);
    out.narrow(-1, begin, count).copy_(linear_product(x, part, bias.defined() ? bias.narrow(0, begin, count) : bias));
  }
  return out;
}

at::Tensor FrozenWeight::gated(const at::Tensor& x) const {
  return !packed_ && !scratch_->is_trained() && takes_quantised_swiglu(x, own_) ? quantised_swiglu(x, own_) : swiglu(product(x, {}));
}

at::Tensor FrozenWeight::gather(const at::Tensor& ids) const {
  return gather_int8_rows(own_.blocks, own_.weight_rows, own_.inner, ids, scratch_->options());
}

at::Tensor FrozenWeight::rows(int64_t begin, int64_t count) const {
  const c10::NoGradGuard no_grad;
  if (packed_) return packed_->rows(begin, count).to(scratch_->options());
  const int64_t first = begin / kBlockRows, last = (begin + count + kBlockRows - 1) / kBlockRows;
  const auto out = at::empty({std::min(last * kBlockRows, own_.weight_rows) - first * kBlockRows, own_.inner}, scratch_->options());
  put_back(first, out);
  return out.narrow(0, begin - first * kBlockRows, count);
}

int64_t FrozenWeight::bytes() const {
  return packed_ ? packed_->blocks() * packed_->block_bytes() : static_cast<int64_t>(own_.blocks.nbytes());
}

at::Tensor frozen_product(const at::Tensor& x, const std::shared_ptr<const FrozenWeight>& weight, const at::Tensor& bias) {
  if (!needs_autograd({x})) return weight->product(x, bias);
  // Autograd's functions take no undefined tensor.
  return FrozenProductFunction::apply(x, bias.defined() ? std::make_optional(bias) : std::nullopt, weight);
}

}  // namespace facellm
