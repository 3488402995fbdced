#include "lora/frozen_lora.h"

#include "kernels/product/product.h"

namespace facellm {
namespace {

// Of DoRA's output: gain * (product + delta) + bias, where `own` holds product + bias already.
void add_dora(at::Tensor own, const at::Tensor& delta, double scaling, const at::Tensor& gain,
              const at::Tensor& bias) {
  // In fp32, rounded once: gains are close to 1.
  auto sum = own.to(at::kFloat, false, /*copy=*/true);
  if (bias.defined()) sum.sub_(bias);
  sum.add_(delta, scaling).mul_(gain);
  if (bias.defined()) sum.add_(bias);
  own.copy_(sum);
}

}  // namespace

FrozenLora::FrozenLora(const Linear& base, const std::vector<LoraSlice>& slices) {
  const auto dtype = base.weight.scalar_type();
  // Where an adapter's matrix is kept as it is, it is counted there.
  const auto count_new = [&](const at::Tensor& kept, const at::Tensor& from) {
    if (!kept.is_alias_of(from)) bytes_ += static_cast<int64_t>(kept.nbytes());
  };
  std::vector<at::Tensor> matrices;
  for (const auto& slice : slices) {
    matrices.push_back(slice.a.to(dtype));
    Part part{slice.begin, slice.count, slice.b.to(dtype), slice.scaling, {}};
    count_new(part.b, slice.b);
    if (slice.magnitude.defined()) {
      const auto norms =
          slice.norms.defined() ? slice.norms : row_norms(base.weight_rows(slice.begin, slice.count), slice);
      part.gain = slice.magnitude.to(at::kFloat) / norms;
      count_new(part.gain, slice.magnitude);
    }
    parts_.push_back(std::move(part));
  }
  a_ = matrices.size() == 1 ? matrices[0] : at::cat(matrices);
  count_new(a_, slices[0].a);
}

void FrozenLora::add_to(const at::Tensor& out, const Linear& base, const at::Tensor& x) const {
  const auto u = product(x, a_.t());  // [T, sum of ranks]
  int64_t column = 0;
  for (const auto& part : parts_) {
    const int64_t rank = part.b.size(1);
    const auto own_u = u.narrow(1, column, rank);
    auto own = out.narrow(1, part.begin, part.count);
    if (part.gain.defined()) {
      const auto bias = base.bias.defined() ? base.bias.narrow(0, part.begin, part.count) : base.bias;
      add_dora(own, product(own_u, part.b.t()), part.scaling, part.gain, bias);
    } else {
      add_product(own, own_u, part.b.t(), part.scaling);
    }
    column += rank;
  }
}

}  // namespace facellm
