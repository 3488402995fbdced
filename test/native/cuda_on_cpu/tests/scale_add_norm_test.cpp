// scale_add_norm_cuda.cu on the CPU: sums bit for bit, what is normalised within its own rounding of the truth.
#include "kernels/scale_add_norm/scale_add_norm_cuda.h"

#include <cmath>

#include "caught.h"
#include "comparison.h"

namespace facellm {
namespace {

Comparison check(int64_t rows, int64_t size) {
  using Bf16 = __nv_bfloat16;
  constexpr double kEps = 1e-6, kUnit = 0x1p-24, kStep = 0x1p-8;
  auto x = noise<Bf16>(rows * size, "x"), delta = noise<Bf16>(rows * size, "delta"), scale = noise<Bf16>(size, "scale");
  auto weight = noise<Bf16>(size, "weight"), bias = noise<Bf16>(size, "bias");
  cuda_on_cpu::Buffer<Bf16> sum(static_cast<size_t>(rows * size), "sum"), normalised(static_cast<size_t>(rows * size), "normalised");
  scale_add_norm_cuda(x.data(), delta.data(), scale.data(), weight.data(), bias.data(), sum.data(), normalised.data(), rows, size,
                      static_cast<float>(kEps), nullptr);
  Comparison comparison;
  for (int64_t r = 0; r < rows; ++r) {
    std::vector<double> own(static_cast<size_t>(size));
    double mean = 0, variance = 0, largest = 0;
    for (int64_t i = 0; i < size; ++i) {
      const auto at = static_cast<size_t>(r * size + i);
      const float expected = rounded<Bf16>(wide(x[at]) + rounded<Bf16>(wide(delta[at]) * wide(scale[static_cast<size_t>(i)])));
      comparison.add(sum[at], narrow<Bf16>(expected), "sum, row", r, "element", i, "of", size);
      own[static_cast<size_t>(i)] = expected;
      mean += expected / static_cast<double>(size);
      largest = std::max(largest, std::abs(static_cast<double>(expected)));
    }
    for (const double value : own) variance += (value - mean) * (value - mean) / static_cast<double>(size);
    const double factor = 1 / std::sqrt(variance + kEps);
    for (int64_t i = 0; i < size; ++i) {
      const double w = wide(weight[static_cast<size_t>(i)]), b = wide(bias[static_cast<size_t>(i)]);
      const double standard = (own[static_cast<size_t>(i)] - mean) * factor, truth = standard * w + b;
      // The mean is off by what its sum rounds, of the largest number; the factor and the products by some units.
      const double error = (static_cast<double>(size) * largest * factor * std::abs(w) + (static_cast<double>(size) + 8) * std::abs(standard * w) + std::abs(b)) * kUnit;
      const float actual = wide(normalised[static_cast<size_t>(r * size + i)]), expected = static_cast<float>(truth);
      comparison.add(std::abs(actual - truth) <= error + std::abs(truth) * kStep + 1e-30 ? expected : actual, expected, "normalised, row", r, "element",
                     i, "of", size);
    }
  }
  return comparison;
}

TEST(ScaleAddNormOnCpu, NearTruth) {
  cuda_on_cpu::in_all_orders([] {
    // A lane's numbers alone, beside a warp's, of the 300M's tower, and rows beside a block.
    for (const int64_t size : {8, 64, 256, 264, 1024}) {
      const Comparison comparison = check(size == 1024 ? 2 : 5, size);
      EXPECT_GT(comparison.elements, 0);
      EXPECT_EQ(comparison.different, 0) << comparison.first;
    }
  });
}

}  // namespace
}  // namespace facellm
