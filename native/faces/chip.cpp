#include "faces/chip.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "faces/lane_kernels.h"
#include "image/limits.h"

namespace facellm {
namespace {

// Red, green, blue and what comes next: one load and one product for three.
typedef float Four __attribute__((vector_size(16)));
typedef int32_t Whole __attribute__((vector_size(16)));
typedef uint8_t Bytes __attribute__((vector_size(4)));
// Numbers that may be read behind the last pixel.
constexpr int64_t kPast = 1;

inline Four four(const float* numbers) {
  Four result;
  std::memcpy(&result, numbers, sizeof result);
  return result;
}

// std::floor is a call where the processor's own instruction may not be counted on.
inline int64_t floor_of(double value) {
  const auto whole = static_cast<int64_t>(value);
  return static_cast<double>(whole) > value ? whole - 1 : whole;
}

// Part of the picture, each of its pixels the mean of factor x factor of the picture's; black outside.
struct Reduced {
  std::vector<float> rgb;
  int64_t left = 0, top = 0, width = 0, height = 0, factor = 1;  // left and top in the picture's pixels

  float at(int64_t x, int64_t y, int64_t channel) const {
    if (x < 0 || y < 0 || x >= width || y >= height) return 0;
    return rgb[static_cast<size_t>((y * width + x) * 3 + channel)];
  }
  // Itself, and those to the right and below.
  bool has_neighbours(int64_t x, int64_t y) const { return x >= 0 && y >= 0 && x + 1 < width && y + 1 < height; }
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
  result.rgb.assign(static_cast<size_t>(result.width * result.height * 3 + kPast), 0.F);
  const auto area = static_cast<float>(factor * factor);
  const int64_t across = std::min(result.width * factor, picture.width - result.left);
  // Sums of columns: whole numbers, which fp32 holds up to 65,793 lines of them.
  std::vector<float> sums(static_cast<size_t>(std::max<int64_t>(result.width, 0) * factor * 3));
  for (int64_t y = 0; y < result.height; ++y) {
    const int64_t first = result.top + y * factor;
    std::fill(sums.begin(), sums.end(), 0.F);
    for (int64_t j = first; j < std::min(first + factor, picture.height); ++j) {
      lane_kernels().accumulate(sums.data(), picture.rgb + (j * picture.width + result.left) * 3, 1, across * 3);
    }
    float* out = &result.rgb[static_cast<size_t>(y * result.width * 3)];
    if (factor == 1) {
      std::copy_n(sums.data(), result.width * 3, out);
      continue;
    }
    const float* sum = sums.data();
    for (int64_t x = 0; x < result.width; ++x, out += 3) {
      int64_t block[3] = {};
      for (int64_t i = 0; i < factor; ++i, sum += 3) {
        for (int64_t c = 0; c < 3; ++c) block[c] += static_cast<int64_t>(sum[c]);
      }
      for (int64_t c = 0; c < 3; ++c) out[c] = static_cast<float>(block[c]) / area;
    }
  }
  return result;
}

// Bilinear, rounded. Where all four neighbours are there, a fourth byte is written, too.
inline void sample(const Reduced& source, double column, double line, uint8_t* out) {
  const int64_t x0 = floor_of(column), y0 = floor_of(line);
  const auto u = static_cast<float>(column - static_cast<double>(x0)), v = static_cast<float>(line - static_cast<double>(y0));
  if (source.has_neighbours(x0, y0)) {
    const float* first = &source.rgb[static_cast<size_t>((y0 * source.width + x0) * 3)];
    const float* second = first + source.width * 3;
    const Four above = four(first) * (1 - u) + four(first + 3) * u;
    const Four below = four(second) * (1 - u) + four(second + 3) * u;
    // Means of bytes and a half: they end below 256.
    const auto whole = __builtin_convertvector(above * (1 - v) + below * v + 0.5F, Whole);
    const auto bytes = __builtin_convertvector(whole, Bytes);
    std::memcpy(out, &bytes, sizeof bytes);
    return;
  }
  for (int64_t c = 0; c < 3; ++c) {
    const float above = source.at(x0, y0, c) * (1 - u) + source.at(x0 + 1, y0, c) * u;
    const float below = source.at(x0, y0 + 1, c) * (1 - u) + source.at(x0 + 1, y0 + 1, c) * u;
    out[c] = static_cast<uint8_t>(std::clamp(above * (1 - v) + below * v + 0.5F, 0.F, 255.F));
  }
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
  const double step = 1 / static_cast<double>(size);
  Chip chip;
  const auto count = static_cast<size_t>(size * size * 3);
  chip.rgb.resize(count + kPast);
  int64_t outside = 0;
  // similarity.back() of a pixel's middle is a sum of what its column has and of what its line has.
  const double square = similarity.a * similarity.a + similarity.b * similarity.b;
  std::vector<Point> of_columns;
  for (int64_t x = 0; x < size; ++x) {
    const double u = (static_cast<double>(x) + 0.5) * step - similarity.tx;
    of_columns.push_back({similarity.a * u / square, -similarity.b * u / square});
  }
  const auto factor = static_cast<double>(source.factor);
  const auto left = static_cast<double>(source.left), top = static_cast<double>(source.top);
  uint8_t* out = chip.rgb.data();
  for (int64_t y = 0; y < size; ++y) {
    const double v = (static_cast<double>(y) + 0.5) * step - similarity.ty;
    const Point of_line{similarity.b * v / square, similarity.a * v / square};
    for (int64_t x = 0; x < size; ++x, out += 3) {
      const auto& of_column = of_columns[static_cast<size_t>(x)];
      const Point at{of_column.x + of_line.x, of_column.y + of_line.y};
      const bool is_inside = at.x >= 0 && at.y >= 0 && at.x < static_cast<double>(picture.width) &&
                             at.y < static_cast<double>(picture.height);
      outside += is_inside ? 0 : 1;
      double column = at.x - left, line = at.y - top;
      if (source.factor != 1) column /= factor, line /= factor;
      // Far outside all is black; what follows must fit a whole number.
      if (std::abs(column) < 1e9 && std::abs(line) < 1e9) {
        sample(source, column - 0.5, line - 0.5, out);
      } else {
        std::fill_n(out, 3, 0);
      }
    }
  }
  chip.rgb.resize(count);
  chip.outside = static_cast<double>(outside) / static_cast<double>(size * size);
  return chip;
}

}  // namespace facellm
