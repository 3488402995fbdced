// cross_entropy_cuda.cu beside the truth in fp64.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "comparison.h"

namespace facellm {

// `launcher`: cross_entropy_cuda, or another that claims to do the same.
template <typename T, typename Launcher>
Comparison check_cross_entropy(Launcher launcher, int64_t rows, int64_t size, bool has_scales) {
  auto logits = noise<T>(rows * size, "logits");
  for (auto& x : logits) x = narrow<T>(std::clamp(wide(x), -20.f, 20.f));
  const std::vector<T> before(logits.begin(), logits.end());
  cuda_on_cpu::Buffer<int64_t> labels(rows, "labels");
  cuda_on_cpu::Buffer<float> scales(has_scales ? rows : 0, "scales"), losses(rows, "losses");
  for (int64_t row = 0; row < rows; ++row) {
    labels[row] = row == 0 ? 0 : row == 1 ? size - 1 : row * 31 % size;
    if (has_scales) scales[row] = 0.25f * static_cast<float>(1 - row);
  }
  launcher(logits.data(), labels.data(), has_scales ? scales.data() : nullptr, losses.data(), rows, size, is_bf16<T>, nullptr);
  // A thread's own terms, two roundings each, and those of its powers; then ten steps over the block.
  const double chain = (2 * std::ceil(static_cast<double>(size) / 512) + 20) * 0x1p-24;
  Comparison comparison;
  const auto close = [&]<typename N>(N actual, double expected, double allowed, const char* what, int64_t row, int64_t i) {
    const bool is_close = std::abs(static_cast<double>(wide(actual)) - expected) <= allowed;
    const N wanted = narrow<N>(static_cast<float>(expected));
    comparison.add(is_close ? wanted : actual, wanted, what, row, "of", size, "element", i);
  };
  for (int64_t row = 0; row < rows; ++row) {
    double most = -1e30, sum = 0;
    for (int64_t i = 0; i < size; ++i) most = std::max<double>(most, wide(before[row * size + i]));
    for (int64_t i = 0; i < size; ++i) sum += std::exp(wide(before[row * size + i]) - most);
    const double loss = most + std::log(sum) - wide(before[row * size + labels[row]]);
    close(losses[row], loss, chain + (std::abs(loss) + 20) * 0x1p-23, "loss of row", row, 0);
    for (int64_t i = 0; i < size; ++i) {
      const T x = logits[row * size + i];
      if (!has_scales) {
        comparison.add(x, before[row * size + i], "logit of row", row, "of", size, "element", i);
        continue;
      }
      const double p = std::exp(wide(before[row * size + i]) - most) / sum, scale = scales[row];
      const double gradient = scale * (p - (i == labels[row] ? 1 : 0));
      const double step = is_bf16<T> ? 0x1p-8 : 0x1p-24;
      close(x, gradient, std::abs(scale) * p * 2 * chain + std::abs(gradient) * 1.01 * step + 1e-40, "gradient of row", row, i);
    }
  }
  return comparison;
}

// Rows of bf16 that begin on every second address, shorter than eight, as long as a block's first turn and longer.
template <typename Launcher>
Comparison check_cross_entropy_shapes(Launcher launcher) {
  Comparison all;
  for (const bool has_scales : {true, false}) {
    for (const int64_t size : {1, 5, 8, 9, 513, 2079, 4102}) {
      all.add(check_cross_entropy<float>(launcher, 4, size, has_scales));
      all.add(check_cross_entropy<__nv_bfloat16>(launcher, 9, size, has_scales));
    }
  }
  return all;
}

}  // namespace facellm
