#include "faces/chip.h"

#include <algorithm>
#include <cmath>

#include "image/limits.h"

namespace facellm {
namespace {

// Part of the picture, each of its pixels the mean of factor x factor of the picture's; black outside.
struct Reduced {
  std::vector<float> rgb;
  int64_t left = 0, top = 0, width = 0, height = 0, factor = 1;  // left and top in the picture's pixels

  float at(int64_t x, int64_t y, int64_t channel) const {
    if (x < 0 || y < 0 || x >= width || y >= height) return 0;
    return rgb[static_cast<size_t>((y * width + x) * 3 + channel)];
  }
};

Reduced reduce(const PictureView& picture, const Similarity& similarity, int64_t factor) {
  double left = picture.width, right = 0, top = picture.height, bottom = 0;
  for (const auto corner : {Point{0, 0}, Point{1, 0}, Point{0, 1}, Point{1, 1}}) {
    const auto at = similarity.back(corner);
    left = std::min(left, at.x), right = std::max(right, at.x);
    top = std::min(top, at.y), bottom = std::max(bottom, at.y);
  }
  const auto before = [&](double edge) {  // two pixels more, for the neighbours
    return std::max<int64_t>(static_cast<int64_t>(std::floor(std::max(edge, 0.0))) - 2 * factor, 0);
  };
  const auto count = [&](double edge, int64_t first, int64_t most) {
    const auto end = std::min<int64_t>(static_cast<int64_t>(std::min(edge, 1e9)) + 2 * factor, most);
    return std::max<int64_t>((end - first + factor - 1) / factor, 0);
  };
  Reduced result;
  result.factor = factor;
  result.left = before(left), result.top = before(top);
  result.width = count(right, result.left, picture.width), result.height = count(bottom, result.top, picture.height);
  result.rgb.assign(static_cast<size_t>(result.width * result.height * 3), 0.F);
  const auto area = static_cast<float>(factor * factor);
  for (int64_t y = 0; y < result.height; ++y) {
    for (int64_t x = 0; x < result.width; ++x) {
      const int64_t x0 = result.left + x * factor, y0 = result.top + y * factor;
      int64_t sums[3] = {};
      for (int64_t j = y0; j < std::min(y0 + factor, picture.height); ++j) {
        for (int64_t i = x0; i < std::min(x0 + factor, picture.width); ++i) {
          for (int64_t c = 0; c < 3; ++c) sums[c] += picture.rgb[(j * picture.width + i) * 3 + c];
        }
      }
      for (int64_t c = 0; c < 3; ++c) {
        result.rgb[static_cast<size_t>((y * result.width + x) * 3 + c)] = static_cast<float>(sums[c]) / area;
      }
    }
  }
  return result;
}

}  // namespace

Chip cut_chip(const PictureView& picture, const Similarity& similarity, int64_t size) {
  check_image_size(size, size, "chip");
  const double side = similarity.side();
  if (!std::isfinite(side) || !std::isfinite(similarity.tx) || !std::isfinite(similarity.ty) || side <= 0) {
    throw Error(ErrorCode::kInvalidArgument, "chip: the similarity maps nothing to it");
  }
  const auto ratio = std::min(side / static_cast<double>(size), 1e6);
  const auto source = reduce(picture, similarity, ratio > 1.5 ? static_cast<int64_t>(ratio) : 1);
  const auto factor = static_cast<double>(source.factor), step = 1 / static_cast<double>(size);
  Chip chip;
  chip.rgb.resize(static_cast<size_t>(size * size * 3));
  int64_t outside = 0;
  for (int64_t y = 0; y < size; ++y) {
    for (int64_t x = 0; x < size; ++x) {
      const auto at = similarity.back({(static_cast<double>(x) + 0.5) * step, (static_cast<double>(y) + 0.5) * step});
      const bool is_inside = at.x >= 0 && at.y >= 0 && at.x < static_cast<double>(picture.width) &&
                             at.y < static_cast<double>(picture.height);
      if (!is_inside) ++outside;
      const double column = (at.x - static_cast<double>(source.left)) / factor - 0.5;
      const double line = (at.y - static_cast<double>(source.top)) / factor - 0.5;
      // Far outside all is black; what follows must fit a whole number.
      if (!(std::abs(column) < 1e9 && std::abs(line) < 1e9)) continue;
      const auto x0 = static_cast<int64_t>(std::floor(column)), y0 = static_cast<int64_t>(std::floor(line));
      const auto u = static_cast<float>(column - std::floor(column)), v = static_cast<float>(line - std::floor(line));
      for (int64_t c = 0; c < 3; ++c) {
        const float above = source.at(x0, y0, c) * (1 - u) + source.at(x0 + 1, y0, c) * u;
        const float below = source.at(x0, y0 + 1, c) * (1 - u) + source.at(x0 + 1, y0 + 1, c) * u;
        chip.rgb[static_cast<size_t>((y * size + x) * 3 + c)] =
            static_cast<uint8_t>(std::clamp(above * (1 - v) + below * v + 0.5F, 0.F, 255.F));
      }
    }
  }
  chip.outside = static_cast<double>(outside) / static_cast<double>(size * size);
  return chip;
}

}  // namespace facellm
