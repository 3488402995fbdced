// Which rows of a forward pass belong to which stack of adapters. The engine sets it before a pass, the layers'
// extensions read it (lora/stacked_lora.h): model code in between knows nothing of it. Torch-free.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"

namespace facellm {

struct RowGroup {
  uint64_t stack;  // serial (lora/adapter_stacks.h); 0: the base model
  int64_t begin;
  int64_t count;
};

class RowGroups {
 public:
  // From now on every row of every pass belongs to one stack, however many rows there are.
  void set_all(uint64_t stack) {
    rows_ = kAnyNumber;
    groups_.assign(1, {stack, 0, 0});
  }

  // The next passes have `rows` rows; those in no group are the base model's. Throws kInternal where groups are not in
  // order, overlap or end beyond the rows; then nothing has changed.
  void set(int64_t rows, std::span<const RowGroup> groups) {
    int64_t end = 0;
    for (const auto& group : groups) {
      if (group.begin < end || group.count < 0 || group.count > rows - group.begin) {
        throw Error(ErrorCode::kInternal, "row groups: rows " + std::to_string(group.begin) + " and " +
                                              std::to_string(group.count) + " on, after " + std::to_string(end) +
                                              ", of " + std::to_string(rows));
      }
      end = group.begin + group.count;
    }
    rows_ = rows;
    groups_.assign(groups.begin(), groups.end());
  }

  // From now on a row's result on a CPU may not follow from who else is in its group.
  void set_invariant() { is_invariant_ = true; }
  bool is_invariant() const { return is_invariant_; }

  // Calls back for every group of a pass that has `rows` rows. Throws kInternal for a pass of another size.
  template <typename Callback>
  void each(int64_t rows, const Callback& callback) const {
    if (rows_ == kAnyNumber) return callback(RowGroup{groups_[0].stack, 0, rows});
    if (rows != rows_) {
      throw Error(ErrorCode::kInternal, "row groups: a pass of " + std::to_string(rows) + " rows, where " +
                                            std::to_string(rows_) + " were told of");
    }
    for (const auto& group : groups_) callback(group);
  }

 private:
  static constexpr int64_t kAnyNumber = -1;
  int64_t rows_ = kAnyNumber;
  std::vector<RowGroup> groups_{{0, 0, 0}};
  bool is_invariant_ = false;
};

}  // namespace facellm
