// What the detector computes on many numbers at once, at each level of the processor, against plain loops; chips against the
// similarity's own way back for each pixel.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "faces/chip.h"
#include "faces/lane_kernels.h"

namespace facellm {
namespace {

std::vector<const LaneKernels*> levels() {
  std::vector<const LaneKernels*> result;
  for (const auto level : {CpuLevel::kScalar, CpuLevel::kAvx2, CpuLevel::kAvx512}) {
    if (level <= detect_cpu().level) result.push_back(&lane_kernels_for(level));
  }
  return result;
}

std::mt19937 random_bits(7);

std::vector<float> drawn(int64_t count) {
  std::uniform_real_distribution<float> unit(-1, 1);
  std::vector<float> result(static_cast<size_t>(count));
  for (auto& value : result) value = unit(random_bits);
  return result;
}

constexpr float kEpsilon = std::numeric_limits<float>::epsilon();

TEST(FaceLanes, AProductIsThatOfPlainLoops) {
  for (const int64_t pixels : {1, 4, 6, 11}) {
    for (const int64_t channels : {16, 32, 48}) {
      for (const int64_t segments : {1, 3}) {
        for (const bool is_rectified : {false, true}) {
          const int64_t inner = 19, stride = 23, segment_stride = pixels * stride + 5, skip_channels = 16;
          const auto x = drawn(segments * segment_stride), weight = drawn(segments * inner * channels);
          const auto bias = drawn(channels), skip = drawn(pixels * skip_channels);
          for (const auto* level : levels()) {
            std::vector<float> out(static_cast<size_t>(pixels * channels));
            level->multiply({x.data(), stride, segments, segment_stride, inner, weight.data(), bias.data(), skip.data(),
                             skip_channels, is_rectified, out.data(), pixels, channels});
            for (int64_t p = 0; p < pixels; ++p) {
              for (int64_t c = 0; c < channels; ++c) {
                double sum = bias[static_cast<size_t>(c)], size = 1;
                for (int64_t s = 0; s < segments; ++s) {
                  for (int64_t k = 0; k < inner; ++k) {
                    const double term = static_cast<double>(x[static_cast<size_t>(p * stride + s * segment_stride + k)]) *
                                        weight[static_cast<size_t>((s * inner + k) * channels + c)];
                    sum += term, size += std::abs(term);
                  }
                }
                if (c < skip_channels) sum += skip[static_cast<size_t>(p * skip_channels + c)];
                if (is_rectified) sum = std::max(sum, 0.0);
                // As many roundings as terms, each of at most what has been summed.
                const double bound = kEpsilon * static_cast<double>(segments * inner + 2) * (size + 1);
                EXPECT_NEAR(out[static_cast<size_t>(p * channels + c)], sum, bound);
              }
            }
          }
        }
      }
    }
  }
}

TEST(FaceLanes, ADepthwiseRowIsThatOfPlainLoops) {
  for (const int64_t stride : {1, 2}) {
    const int64_t pixels = 5, channels = 32, row_stride = (pixels * stride + 3) * channels;
    const auto x = drawn(3 * row_stride), weight = drawn(9 * channels), bias = drawn(channels);
    for (const auto* level : levels()) {
      std::vector<float> out(static_cast<size_t>(pixels * channels));
      level->convolve({x.data(), row_stride, stride, weight.data(), bias.data(), out.data(), pixels, channels});
      for (int64_t p = 0; p < pixels; ++p) {
        for (int64_t c = 0; c < channels; ++c) {
          double sum = bias[static_cast<size_t>(c)];
          for (int64_t j = 0; j < 3; ++j) {
            for (int64_t i = 0; i < 3; ++i) {
              sum += static_cast<double>(x[static_cast<size_t>(j * row_stride + (stride * p + i) * channels + c)]) *
                     weight[static_cast<size_t>((3 * j + i) * channels + c)];
            }
          }
          EXPECT_NEAR(out[static_cast<size_t>(p * channels + c)], sum, 10 * 10 * kEpsilon);
        }
      }
    }
  }
}

TEST(FaceLanes, BytesAreAddedExactlyAndNoOthersAreTouched) {
  std::vector<uint8_t> bytes(100);
  for (auto& value : bytes) value = static_cast<uint8_t>(random_bits());
  for (const auto* level : levels()) {
    for (const int64_t count : {-3, 0, 1, 15, 16, 17, 63, 99}) {
      std::vector<float> sums(100, 3.F);
      level->accumulate(sums.data(), bytes.data(), 2, count);
      for (int64_t i = 0; i < 100; ++i) {
        const auto at = static_cast<size_t>(i);
        EXPECT_EQ(sums[at], i < count ? 3.F + 2.F * static_cast<float>(bytes[at]) : 3.F);
      }
    }
  }
}

// Black outside.
double pixel_of(const PictureView& picture, int64_t x, int64_t y, int64_t channel) {
  if (x < 0 || y < 0 || x >= picture.width || y >= picture.height) return 0;
  return picture.rgb[(y * picture.width + x) * 3 + channel];
}

// A picture's pixel (x, y) after blocks of factor x factor, of which the first begins at `origin`, became their means.
double mean_of(const PictureView& picture, Point origin, int64_t factor, int64_t x, int64_t y, int64_t channel) {
  double sum = 0;
  for (int64_t j = 0; j < factor; ++j) {
    for (int64_t i = 0; i < factor; ++i) {
      sum += pixel_of(picture, static_cast<int64_t>(origin.x) + x * factor + i,
                      static_cast<int64_t>(origin.y) + y * factor + j, channel);
    }
  }
  return sum / static_cast<double>(factor * factor);
}

// Blocks begin two of them before what the similarity reaches, but in the picture.
Point origin_of(const Similarity& similarity, int64_t factor) {
  if (factor == 1) return {0, 0};
  double left = 1e9, top = 1e9;
  for (const auto corner : {Point{0, 0}, Point{1, 0}, Point{0, 1}, Point{1, 1}}) {
    const auto at = similarity.back(corner);
    left = std::min(left, at.x), top = std::min(top, at.y);
  }
  const auto before = [&](double edge) {
    return std::max(std::floor(edge) - 2 * static_cast<double>(factor), 0.0);
  };
  return {before(left), before(top)};
}

void expect_chip(const PictureView& picture, const Similarity& similarity, int64_t size, int64_t factor) {
  const auto chip = cut_chip(picture, similarity, size);
  const auto origin = origin_of(similarity, factor);
  for (int64_t y = 0; y < size; ++y) {
    for (int64_t x = 0; x < size; ++x) {
      const auto at = similarity.back({(static_cast<double>(x) + 0.5) / static_cast<double>(size),
                                       (static_cast<double>(y) + 0.5) / static_cast<double>(size)});
      const double of_x = (at.x - origin.x) / static_cast<double>(factor) - 0.5;
      const double of_y = (at.y - origin.y) / static_cast<double>(factor) - 0.5;
      const double column = std::floor(of_x), line = std::floor(of_y), u = of_x - column, v = of_y - line;
      for (int64_t c = 0; c < 3; ++c) {
        const auto value = [&](int64_t i, int64_t j) {
          return mean_of(picture, origin, factor, static_cast<int64_t>(column) + i, static_cast<int64_t>(line) + j, c);
        };
        const double mean = (value(0, 0) * (1 - u) + value(1, 0) * u) * (1 - v) + (value(0, 1) * (1 - u) + value(1, 1) * u) * v;
        ASSERT_NEAR(chip.rgb[static_cast<size_t>((y * size + x) * 3 + c)], mean, 0.5 + 1e-4)
            << "pixel " << x << ", " << y << ", channel " << c << ", reduced by " << factor;
      }
    }
  }
}

TEST(FaceLanes, AChipIsItsSimilarityPixelByPixel) {
  // Sides that neither 2 nor 3 divides.
  constexpr int64_t kWidth = 119, kHeight = 97, kSize = 56;
  std::vector<uint8_t> rgb(static_cast<size_t>(kWidth * kHeight * 3));
  for (auto& value : rgb) value = static_cast<uint8_t>(random_bits());
  const PictureView picture{rgb.data(), kWidth, kHeight};
  std::uniform_real_distribution<double> unit(-1, 1);
  struct Case {
    int64_t size, factor;
    double least, most;  // sides of the chip in the picture
  };
  for (const auto& [size, factor, least, most] :
       {Case{kSize, 1, 20, 80}, Case{30, 1, 31, 45}, Case{30, 2, 61, 89}, Case{25, 3, 76, 99}, Case{7, 13, 92, 97}}) {
    for (int i = 0; i < 40; ++i) {
      // Turned, in the picture and across each of its edges.
      const double side = least + (most - least) * std::abs(unit(random_bits)), roll = 3 * unit(random_bits);
      Similarity similarity{std::cos(roll) / side, std::sin(roll) / side, 0, 0};
      const auto middle = similarity.forward({60 + 66 * unit(random_bits), 48 + 56 * unit(random_bits)});
      similarity.tx = 0.5 - middle.x, similarity.ty = 0.5 - middle.y;
      expect_chip(picture, similarity, size, factor);
      if (HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace facellm
