// A layer's numbers [size, size, channels], channels filled up to whole lanes and `border` pixels of zeros around, which
// is what TensorFlow's "same" pads with. Torch-free.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "faces/lane_kernels.h"

namespace facellm {

class FeatureMap {
 public:
  FeatureMap(int64_t size, int64_t channels, int64_t border = 1)
      : size_(size), channels_(channels), border_(border), across_(size + 2 * border),
        numbers_(static_cast<size_t>(across_ * across_ * channels)) {}

  int64_t size() const { return size_; }
  // Those that fill up included.
  int64_t channels() const { return channels_; }
  int64_t row_stride() const { return across_ * channels_; }
  // -border <= y, x < size + border
  float* at(int64_t y, int64_t x) { return &numbers_[static_cast<size_t>(index(y, x))]; }
  const float* at(int64_t y, int64_t x) const { return &numbers_[static_cast<size_t>(index(y, x))]; }

 private:
  int64_t index(int64_t y, int64_t x) const { return ((y + border_) * across_ + x + border_) * channels_; }

  int64_t size_, channels_, border_, across_;
  std::vector<float> numbers_;
};

}  // namespace facellm
