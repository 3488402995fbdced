// Which of prefetch.h's distances is the faster one on this machine, found at work: steps take turns at first. Torch-free.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "kernels/cpu/prefetch.h"

namespace facellm {

class PrefetchChoice {
 public:
  // For the next step.
  int64_t bytes() const { return is_far() ? kPrefetchFar : kPrefetchNear; }
  // How long that step took. Only steps of a kind are comparable: with another than the last it begins again.
  void took(double time, int64_t kind) {
    if (is_made()) return;
    const bool was_far = is_far();
    if (kind != kind_) {
      count_ = 0;
      kind_ = kind;
    }
    if (was_far != is_far()) return;
    times_[was_far][count_ / 2] = time;
    if (++count_ == 2 * kEach) is_far_ = median(times_[1]) < median(times_[0]);
  }
  bool is_made() const { return count_ == 2 * kEach; }

 private:
  static constexpr size_t kEach = 8;

  static double median(std::array<double, kEach> times) {
    std::ranges::nth_element(times, times.begin() + kEach / 2);
    return times[kEach / 2];
  }
  // A B B A, so that what grows or slows meanwhile counts for both.
  bool is_far() const { return is_made() ? is_far_ : count_ % 4 == 1 || count_ % 4 == 2; }

  std::array<double, kEach> times_[2] = {};
  size_t count_ = 0;
  int64_t kind_ = 0;
  bool is_far_ = false;
};

}  // namespace facellm
