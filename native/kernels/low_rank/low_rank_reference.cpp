#include "kernels/low_rank/low_rank.h"
#include "kernels/product/product.h"

namespace facellm {
namespace {

// Of DoRA's output: gain * (product + delta) + bias, where `own` holds product + bias already.
void add_dora(at::Tensor own, const at::Tensor& delta, double scaling, const at::Tensor& gain, const at::Tensor& bias) {
  // In fp32, rounded once: gains are close to 1.
  auto sum = own.to(at::kFloat, false, /*copy=*/true);
  if (bias.defined()) sum.sub_(bias);
  sum.add_(delta, scaling).mul_(gain);
  if (bias.defined()) sum.add_(bias);
  own.copy_(sum);
}

}  // namespace

void add_low_rank_reference(const at::Tensor& out, const at::Tensor& x, const at::Tensor& bias, const LowRankMatrices& matrices) {
  const auto u = product(x, matrices.a.t());  // [T, sum of ranks]
  int64_t column = 0;
  for (const auto& part : matrices.parts) {
    const int64_t rank = part.b.size(0);
    const auto own_u = u.narrow(1, column, rank);
    auto own = out.narrow(1, part.begin, part.count);
    if (part.gain.defined()) {
      add_dora(own, product(own_u, part.b), part.scaling, part.gain,
               bias.defined() ? bias.narrow(0, part.begin, part.count) : bias);
    } else {
      add_product(own, own_u, part.b, part.scaling);
    }
    column += rank;
  }
}

}  // namespace facellm
