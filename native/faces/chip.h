// A face cut out of its picture. Torch-free.
#pragma once

#include <cstdint>
#include <vector>

#include "faces/face.h"

namespace facellm {

struct Chip {
  std::vector<uint8_t> rgb;    // [size, size, 3]
  double outside = 0;          // share of it that lies outside the picture, and is black
};

// What the similarity brings into the unit square, size x size pixels: bilinear, rounded, black outside, as dlib's chips
// are. Where the picture is finer by more than half, it is first reduced by whole numbers, exactly.
Chip cut_chip(const PictureView& picture, const Similarity& similarity, int64_t size);

}  // namespace facellm
