#include "lora/stacked_lora.h"

#include <algorithm>

namespace facellm {

at::Tensor StackedLora::forward(const Linear& base, const at::Tensor& x) const {
  auto out = base.product(x);
  const auto rows = x.reshape({-1, x.size(-1)});
  const auto groups = groups_of(rows.size(0));
  if (!groups.empty()) add_low_rank(out.view({-1, out.size(-1)}), rows, base.bias, groups, groups_->is_invariant());
  return out;
}

std::optional<std::vector<LowRankGroup>> StackedLora::additions(int64_t rows) const { return groups_of(rows); }

std::vector<LowRankGroup> StackedLora::groups_of(int64_t rows) const {
  std::vector<LowRankGroup> groups;
  groups_->each(rows, [&](const RowGroup& group) {
    const auto part = std::find_if(parts_.begin(), parts_.end(), [&](const Part& p) { return p.first == group.stack; });
    if (part != parts_.end() && group.count > 0) groups.push_back({&part->second->matrices(), group.begin, group.count});
  });
  return groups;
}

}  // namespace facellm
