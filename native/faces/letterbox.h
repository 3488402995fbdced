// A part of a picture as a network sees it. Torch-free.
#pragma once

#include <cstdint>
#include <vector>

#include "faces/face.h"

namespace facellm {

// A rectangle of whole pixels, which may reach over the picture's edges: black lies there. Turned clockwise by
// quarters before it is looked at.
struct View {
  int64_t left = 0, top = 0, width = 0, height = 0;
  int quarter_turns = 0;
};

// The way back from a network's unit square.
class Letterbox {
 public:
  Letterbox(const View& view, int64_t size);

  // Its longer side scaled to `size` by the triangle filter, which is bilinear with antialiasing, in the middle of
  // black; out: [3, size, size] in -1..1.
  void fill(const PictureView& picture, float* out) const;
  std::vector<float> filled(const PictureView& picture) const;
  // A point of the unit square as pixels of the picture.
  Point back(Point unit) const;
  Detection back(const Detection& face) const;

 private:
  View view_;
  int64_t size_, width_, height_;  // of the square, and of the scaled view in it
  int64_t left_, top_;
};

}  // namespace facellm
