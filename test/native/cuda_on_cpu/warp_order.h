// What orders the accesses of a warp's lanes: each warp function lets the lanes of its mask know what those lanes did, and
// what they knew. Across warps only barriers of the block order anything.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace cuda_on_cpu {

class WarpOrder {
 public:
  void reset() {
    tick_ = full_ = 0;
    if (!has_parts_) return;  // the rows are 4 KB, and blocks may be many and short
    last_ = {};
    knows_ = {};
    has_parts_ = false;
  }

  // The moment of what this lane does until its next warp function.
  uint32_t now(int lane) const { return std::max(full_, last_[lane]); }

  // The lanes of `mask` have met.
  void meet(uint32_t mask, bool is_whole_warp) {
    ++tick_;
    if (is_whole_warp) {  // the usual case: all know everything
      full_ = tick_;
      return;
    }
    has_parts_ = true;
    Row joined{};
    for (int lane = 0; lane < 32; ++lane) {
      if ((mask >> lane & 1u) == 0) continue;
      for (int of = 0; of < 32; ++of) joined[of] = std::max(joined[of], knows_[lane][of]);
    }
    for (int lane = 0; lane < 32; ++lane) {
      if (mask >> lane & 1u) joined[lane] = last_[lane] = tick_;
    }
    for (int lane = 0; lane < 32; ++lane) {
      if (mask >> lane & 1u) knows_[lane] = joined;
    }
  }

  // Whether what lane `other` did at `moment` is before what `lane` does now.
  bool is_before(int lane, int other, uint32_t moment) const {
    return lane == other || moment < std::max(full_, knows_[lane][other]);
  }
  bool are_all_before(uint32_t moment) const { return moment < full_; }

 private:
  using Row = std::array<uint32_t, 32>;
  uint32_t tick_ = 0, full_ = 0;
  bool has_parts_ = false;  // a part of the warp has met by itself
  Row last_{};
  std::array<Row, 32> knows_{};  // of whom each lane knows all accesses before which tick
};

}  // namespace cuda_on_cpu
