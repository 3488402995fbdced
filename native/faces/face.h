// A face in a picture and the similarity that brings it upright. Torch-free. All coordinates are pixels of the
// picture, x to the right and y down, (0, 0) being the outer corner of the first pixel.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace facellm {

struct Point {
  double x = 0, y = 0;
};

// BlazeFace's points; right and left are the person's.
enum FacePoint { kRightEye, kLeftEye, kNoseTip, kMouth, kRightEar, kLeftEar, kFacePoints };

// What one pass over one part of a picture has found.
struct Detection {
  double left = 0, top = 0, width = 0, height = 0;
  std::array<Point, kFacePoints> points;
  double score = 0;
};

// RGB, [height, width, 3].
struct PictureView {
  const uint8_t* rgb = nullptr;
  int64_t width = 0, height = 0;
};

// u = [[a, -b], [b, a]] s + t: from the picture to the unit square of a chip.
struct Similarity {
  double a = 1, b = 0, tx = 0, ty = 0;

  Point forward(Point p) const { return {a * p.x - b * p.y + tx, b * p.x + a * p.y + ty}; }
  Point back(Point u) const {
    const double x = u.x - tx, y = u.y - ty, square = a * a + b * b;
    return {(a * x + b * y) / square, (a * y - b * x) / square};
  }
  // Of the chip's edge, in pixels of the picture.
  double side() const;
  // How far the head leans, in radians: the chip is turned back by so much.
  double roll() const;
};

}  // namespace facellm
