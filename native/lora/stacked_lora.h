// A linear layer under several stacks of adapters at once: the base product for all rows, then each group's low-rank
// parts on its own rows. Rows of the base model are bit for bit what they are without any adapter.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <utility>
#include <vector>

#include "layers/linear.h"
#include "lora/frozen_lora.h"
#include "lora/row_groups.h"

namespace facellm {

class StackedLora : public LinearExtension {
 public:
  // One stack's part of this layer, by the stack's serial.
  using Part = std::pair<uint64_t, std::shared_ptr<const FrozenLora>>;

  StackedLora(std::shared_ptr<const RowGroups> groups, std::vector<Part> parts)
      : groups_(std::move(groups)), parts_(std::move(parts)) {}
  at::Tensor forward(const Linear& base, const at::Tensor& x) const override;
  std::optional<std::vector<LowRankGroup>> additions(int64_t rows) const override;

 private:
  std::vector<LowRankGroup> groups_of(int64_t rows) const;

  std::shared_ptr<const RowGroups> groups_;
  std::vector<Part> parts_;  // few: looked through
};

}  // namespace facellm
