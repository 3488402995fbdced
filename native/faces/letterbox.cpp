#include "faces/letterbox.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "faces/lane_kernels.h"

namespace facellm {
namespace {

constexpr float kHalfRange = 127.5F;

struct Taps {
  int64_t first = 0;
  std::vector<float> weights;
};

// Of an output pixel: the pixels of the view under a triangle as wide as two of the coarser pixels.
Taps taps_of(int64_t index, int64_t in, int64_t out) {
  const double scale = static_cast<double>(in) / static_cast<double>(out), reach = std::max(scale, 1.0);
  const double centre = (static_cast<double>(index) + 0.5) * scale;
  const auto first = std::max<int64_t>(static_cast<int64_t>(std::floor(centre - reach + 0.5)), 0);
  const auto end = std::min<int64_t>(static_cast<int64_t>(std::floor(centre + reach + 0.5)), in);
  std::vector<double> weights;
  double total = 0;
  for (int64_t i = first; i < end; ++i) {
    weights.push_back(std::max(1 - std::abs(static_cast<double>(i) + 0.5 - centre) / reach, 0.0));
    total += weights.back();
  }
  Taps taps{first, {}};
  for (const double weight : weights) taps.weights.push_back(static_cast<float>(weight / total));
  return taps;
}

}  // namespace

Letterbox::Letterbox(const View& view, int64_t size) : view_(view), size_(size) {
  const double scale = static_cast<double>(size) / static_cast<double>(std::max(view.width, view.height));
  const auto scaled = [&](int64_t side) {
    return std::clamp<int64_t>(std::llround(static_cast<double>(side) * scale), 1, size);
  };
  width_ = scaled(view.width), height_ = scaled(view.height);
  left_ = (size - width_) / 2, top_ = (size - height_) / 2;
}

void Letterbox::fill(const PictureView& picture, float* out) const {
  // Rows first: they lie in line. Only columns that the picture has; the others stay black.
  const int64_t from = std::max<int64_t>(-view_.left, 0);
  const int64_t to = std::min(picture.width - view_.left, view_.width);
  std::vector<float> row(static_cast<size_t>(view_.width * 3));
  std::vector<Taps> across;
  for (int64_t x = 0; x < width_; ++x) across.push_back(taps_of(x, view_.width, width_));
  const auto target = [&](int64_t channel, int64_t x, int64_t y) -> float& {
    for (int turn = 0; turn < view_.quarter_turns; ++turn) std::swap(x, y), x = size_ - 1 - x;
    return out[(channel * size_ + y) * size_ + x];
  };
  const auto& kernels = lane_kernels();
  std::fill(out, out + 3 * size_ * size_, -1.F);
  for (int64_t y = 0; y < height_; ++y) {
    std::fill(row.begin(), row.end(), 0.F);
    const auto down = taps_of(y, view_.height, height_);
    for (size_t j = 0; j < down.weights.size(); ++j) {
      const int64_t source = view_.top + down.first + static_cast<int64_t>(j);
      if (source < 0 || source >= picture.height) continue;
      const uint8_t* pixels = picture.rgb + (source * picture.width + view_.left + from) * 3;
      if (to > from) kernels.accumulate(row.data() + 3 * from, pixels, down.weights[j], 3 * (to - from));
    }
    for (int64_t x = 0; x < width_; ++x) {
      float sums[3] = {};
      const auto& taps = across[static_cast<size_t>(x)];
      for (size_t j = 0; j < taps.weights.size(); ++j) {
        const size_t at = 3 * (static_cast<size_t>(taps.first) + j);
        for (size_t c = 0; c < 3; ++c) sums[c] += taps.weights[j] * row[at + c];
      }
      for (int64_t c = 0; c < 3; ++c) target(c, left_ + x, top_ + y) = sums[c] / kHalfRange - 1;
    }
  }
}

std::vector<float> Letterbox::filled(const PictureView& picture) const {
  std::vector<float> out(static_cast<size_t>(3 * size_ * size_));
  fill(picture, out.data());
  return out;
}

Point Letterbox::back(Point unit) const {
  for (int turn = 0; turn < view_.quarter_turns; ++turn) unit = {unit.y, 1 - unit.x};
  const auto size = static_cast<double>(size_);
  return {static_cast<double>(view_.left) + (unit.x * size - static_cast<double>(left_)) *
                                                static_cast<double>(view_.width) / static_cast<double>(width_),
          static_cast<double>(view_.top) + (unit.y * size - static_cast<double>(top_)) *
                                               static_cast<double>(view_.height) / static_cast<double>(height_)};
}

Detection Letterbox::back(const Detection& face) const {
  Detection result = face;
  const auto a = back(Point{face.left, face.top});
  const auto b = back(Point{face.left + face.width, face.top + face.height});
  result.left = std::min(a.x, b.x), result.width = std::abs(b.x - a.x);
  result.top = std::min(a.y, b.y), result.height = std::abs(b.y - a.y);
  for (auto& point : result.points) point = back(point);
  return result;
}

}  // namespace facellm
