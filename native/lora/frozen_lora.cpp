#include "lora/frozen_lora.h"

namespace facellm {

FrozenLora::FrozenLora(const Linear& base, const std::vector<LoraSlice>& slices) {
  const auto dtype = base.weight.scalar_type();
  // Where an adapter's matrix is kept as it is, it is counted there.
  const auto count_new = [&](const at::Tensor& kept, const at::Tensor& from) {
    if (!kept.is_alias_of(from)) bytes_ += static_cast<int64_t>(kept.nbytes());
  };
  std::vector<at::Tensor> rows_of_a;
  for (const auto& slice : slices) {
    rows_of_a.push_back(slice.a.to(dtype));
    auto b = slice.b.to(dtype).t();
    if (b.is_cpu()) b = b.contiguous();
    LowRankPart part{slice.begin, slice.count, std::move(b), slice.scaling, {}};
    count_new(part.b, slice.b);
    if (slice.magnitude.defined()) {
      const auto norms =
          slice.norms.defined() ? slice.norms : row_norms(base.weight_rows(slice.begin, slice.count), slice);
      part.gain = slice.magnitude.to(at::kFloat) / norms;
      count_new(part.gain, slice.magnitude);
    }
    matrices_.parts.push_back(std::move(part));
  }
  matrices_.a = rows_of_a.size() == 1 ? rows_of_a[0].contiguous() : at::cat(rows_of_a);
  count_new(matrices_.a, slices[0].a);
}

}  // namespace facellm
