#include "lora/stacked_lora.h"

#include <algorithm>

#include "kernels/product/product.h"

namespace facellm {
at::Tensor StackedLora::forward(const Linear& base, const at::Tensor& x) const {
  auto out = base.product(x);
  const auto rows = x.reshape({-1, x.size(-1)});
  const auto own = out.view({-1, out.size(-1)});
  const int64_t multiple = groups_->row_multiple();
  groups_->each(rows.size(0), [&](const RowGroup& group) {
    const auto part = std::find_if(parts_.begin(), parts_.end(), [&](const Part& p) { return p.first == group.stack; });
    if (part == parts_.end() || group.count == 0) return;
    const auto x_group = rows.narrow(0, group.begin, group.count);
    auto out_group = own.narrow(0, group.begin, group.count);
    if (group.count % multiple == 0) return part->second->add_to(out_group, base, x_group);
    const auto wider = fill_rows(out_group, multiple);
    part->second->add_to(wider, base, fill_rows(x_group, multiple));
    out_group.copy_(wider.narrow(0, 0, group.count));
  });
  return out;
}

}  // namespace facellm
