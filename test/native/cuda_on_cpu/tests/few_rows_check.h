// few_rows_cuda.cu against sums in double.
#pragma once

#include <cmath>

#include "comparison.h"
#include "kernels/product/few_rows_cuda.h"

namespace facellm {

// `launcher`: few_rows_cuda, or another that claims to do the same. Differences beyond what the sums' roundings allow
// are told as differences.
template <typename Launcher>
Comparison check_few_rows(Launcher launcher, const FewRowsShape& n, bool has_bias) {
  using Bf16 = __nv_bfloat16;
  std::mt19937 generator(static_cast<unsigned>(n.rows + n.in + n.out));
  std::normal_distribution<float> normal;
  const auto drawn = [&](int64_t count, const char* name, float scale) {
    cuda_on_cpu::Buffer<Bf16> made(static_cast<size_t>(count), name);
    for (auto& x : made) x = narrow<Bf16>(normal(generator) * scale);
    return made;
  };
  const int64_t weight_rows = n.is_gated ? 2 * n.out : n.out;
  auto x = drawn(n.rows * n.in, "x", 1.f);
  auto weight = drawn(weight_rows * n.in, "weight", 1.f / std::sqrt(static_cast<float>(n.in)));
  auto bias = drawn(n.out, "bias", 1.f);
  cuda_on_cpu::Buffer<Bf16> out(static_cast<size_t>(n.rows * n.out), "out");
  launcher(x.data(), weight.data(), has_bias ? bias.data() : nullptr, out.data(),
           {n.rows, n.in, n.out, n.is_gated}, nullptr);
  Comparison comparison;
  constexpr double kUnit = 0x1p-24, kStep = 0x1p-8;
  struct Sum {
    double value, error;  // what fp32 sums in any order may be off by
  };
  const auto sum_of = [&](int64_t row, int64_t output) {
    Sum sum{0, 0};
    for (int64_t k = 0; k < n.in; ++k) {
      const double part = static_cast<double>(wide(x[static_cast<size_t>(row * n.in + k)])) *
                          wide(weight[static_cast<size_t>(output * n.in + k)]);
      sum.value += part;
      sum.error += std::abs(part) * static_cast<double>(n.in) * kUnit;
    }
    return sum;
  };
  for (int64_t r = 0; r < n.rows; ++r) {
    for (int64_t o = 0; o < n.out; ++o) {
      auto [truth, error] = sum_of(r, o);
      if (n.is_gated) {
        const auto [up, up_error] = sum_of(r, n.out + o);
        const double gate_error = error + std::abs(truth) * kStep, silu = truth / (1 + std::exp(-truth));
        // The slope of silu is 1.1 at most. Gate, silu and up are rounded, and the product.
        error = (1.1 * gate_error + std::abs(silu) * kStep) * (std::abs(up) + up_error + std::abs(up) * kStep) +
                std::abs(silu) * (up_error + std::abs(up) * kStep);
        truth = silu * up;
      } else if (has_bias) {
        truth += wide(bias[static_cast<size_t>(o)]);
        error += std::abs(truth) * kUnit;
      }
      const float actual = wide(out[static_cast<size_t>(r * n.out + o)]), expected = static_cast<float>(truth);
      const bool is_close = std::abs(actual - truth) <= error + std::abs(truth) * kStep + 1e-30;
      comparison.add(is_close ? expected : actual, expected, "row", r, "of", n.rows, "output", o, "in", n.in);
    }
  }
  return comparison;
}

template <typename Launcher>
Comparison check_few_rows_shapes(Launcher launcher) {
  Comparison all;
  // Fewer columns than the warps of a block, a multiple of what they take at once, and beside it; outputs beside a tile.
  for (const int64_t in : {32, 896, 1024, 1056, 2080}) {
    all.add(check_few_rows(launcher, {1, in, 17, false}, true));
    all.add(check_few_rows(launcher, {1, in, 9, true}, false));
  }
  for (const int64_t rows : {2, 7, 8, 9, 16}) {
    all.add(check_few_rows(launcher, {rows, 96, 31, false}, rows % 2 == 0));
    all.add(check_few_rows(launcher, {rows, 96, 15, true}, false));
  }
  all.add(check_few_rows(launcher, {3, 64, 1, false}, true));
  all.add(check_few_rows(launcher, {3, 64, 1, true}, false));
  return all;
}

}  // namespace facellm
