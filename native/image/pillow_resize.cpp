// Two separable passes, horizontal first, with fixed-point weights of 22 bits and an 8-bit, rounded
// and clamped image between them. A pass that changes nothing is left out, as Pillow does.
#include "image/pillow_resize.h"

#include <algorithm>
#include <cmath>

namespace facellm {
namespace {

constexpr int kPrecision = 22;

struct Taps {
  std::vector<int64_t> first;       // first source index of each output
  std::vector<int64_t> count;
  std::vector<int32_t> weights;     // [outputs, widest], fixed point
  int64_t widest = 0;
};

// Keys' cubic with a = -0.5.
double cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
  return 0.0;
}

Taps make_taps(int64_t in, int64_t out) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double stretch = std::max(scale, 1.0), support = 2.0 * stretch;
  Taps taps;
  taps.widest = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
  taps.weights.assign(static_cast<size_t>(out * taps.widest), 0);
  std::vector<double> row(static_cast<size_t>(taps.widest));
  for (int64_t i = 0; i < out; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const auto begin = std::max<int64_t>(static_cast<int64_t>(centre - support + 0.5), 0);
    const auto end = std::min<int64_t>(static_cast<int64_t>(centre + support + 0.5), in);
    double sum = 0;
    for (int64_t j = begin; j < end; ++j) {
      const double weight = cubic((static_cast<double>(j) - centre + 0.5) * (1.0 / stretch));
      row[static_cast<size_t>(j - begin)] = weight;
      sum += weight;
    }
    for (int64_t j = 0; j < end - begin; ++j) {
      double weight = row[static_cast<size_t>(j)];
      if (sum != 0.0) weight /= sum;
      const double scaled = weight * (1 << kPrecision);
      taps.weights[static_cast<size_t>(i * taps.widest + j)] =
          static_cast<int32_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    }
    taps.first.push_back(begin);
    taps.count.push_back(end - begin);
  }
  return taps;
}

uint8_t clamp(int64_t accumulated) {
  return static_cast<uint8_t>(std::clamp<int64_t>(accumulated >> kPrecision, 0, 255));
}

// Resamples along one axis. `outer` x out x `inner` values result; source steps along the axis are
// `inner` values apart.
std::vector<uint8_t> pass(const std::vector<uint8_t>& source, int64_t outer, int64_t in,
                          int64_t out, int64_t inner) {
  const auto taps = make_taps(in, out);
  std::vector<uint8_t> result(static_cast<size_t>(outer * out * inner));
  std::vector<int64_t> sums(static_cast<size_t>(inner));
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t i = 0; i < out; ++i) {
      std::fill(sums.begin(), sums.end(), int64_t{1} << (kPrecision - 1));
      const int32_t* weights = &taps.weights[static_cast<size_t>(i * taps.widest)];
      for (int64_t j = 0; j < taps.count[static_cast<size_t>(i)]; ++j) {
        const uint8_t* values =
            &source[static_cast<size_t>((o * in + taps.first[static_cast<size_t>(i)] + j) * inner)];
        for (int64_t c = 0; c < inner; ++c) sums[static_cast<size_t>(c)] += int64_t{values[c]} * weights[j];
      }
      uint8_t* target = &result[static_cast<size_t>((o * out + i) * inner)];
      for (int64_t c = 0; c < inner; ++c) target[c] = clamp(sums[static_cast<size_t>(c)]);
    }
  }
  return result;
}

}  // namespace

std::vector<uint8_t> pillow_bicubic(const std::vector<uint8_t>& pixels, int64_t width,
                                    int64_t height, int64_t out_width, int64_t out_height) {
  auto result = width == out_width ? pixels : pass(pixels, height, width, out_width, 3);
  if (height != out_height) result = pass(result, 1, height, out_height, out_width * 3);
  return result;
}

}  // namespace facellm
