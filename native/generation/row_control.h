// What is said of a request's rows while they are under way: what the next token may be, and that a row is wanted no
// longer. Said on the caller's thread at any time, read by the engine's. Torch-free.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

namespace facellm {

// A bit an id, lowest first; 0: forbidden. Empty: all are allowed.
using TokenMask = std::vector<uint32_t>;

class RowControl {
 public:
  // step: the number of the row's token that it holds for. The one before it is forgotten.
  void set_mask(int32_t row, int64_t step, TokenMask mask) {
    auto shared = std::make_shared<const TokenMask>(std::move(mask));
    const std::lock_guard lock(mutex_);
    masks_[row] = {step, std::move(shared)};
  }
  // Null: it has not come.
  std::shared_ptr<const TokenMask> mask(int32_t row, int64_t step) const {
    const std::lock_guard lock(mutex_);
    const auto found = masks_.find(row);
    return found == masks_.end() || found->second.first != step ? nullptr : found->second.second;
  }
  void end(int32_t row) {
    const std::lock_guard lock(mutex_);
    ended_.insert(row);
  }
  bool is_ended(int32_t row) const {
    const std::lock_guard lock(mutex_);
    return ended_.contains(row);
  }

 private:
  mutable std::mutex mutex_;
  std::map<int32_t, std::pair<int64_t, std::shared_ptr<const TokenMask>>> masks_;
  std::set<int32_t> ended_;
};

}  // namespace facellm
