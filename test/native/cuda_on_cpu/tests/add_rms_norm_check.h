// add_rms_norm_cuda.cu's numbers by a scalar reference: its sums in its own order, each documented rounding once.
#pragma once

#include <cmath>
#include <vector>

#include "comparison.h"

namespace facellm {

// Lanes add up in pairs 16, 8, 4, 2 and 1 apart; all get the same, as a + b is b + a.
inline float warp_sum(std::vector<float> lanes) {
  for (size_t offset = 16; offset > 0; offset /= 2) {
    const auto before = lanes;
    for (size_t l = 0; l < 32; ++l) lanes[l] = before[l] + before[l ^ offset];
  }
  return lanes[0];
}

inline float block_sum(const std::vector<float>& threads) {
  std::vector<float> partial(32, 0.f);
  for (size_t warp = 0; warp < threads.size() / 32; ++warp) {
    const auto first = threads.begin() + static_cast<ptrdiff_t>(warp * 32);
    partial[warp] = warp_sum({first, first + 32});
  }
  return warp_sum(partial);
}

// `launcher`: add_rms_norm_cuda, or another that claims to do the same. stride 0: rows one after the other.
template <typename T, typename Launcher>
Comparison check_add_rms_norm(Launcher launcher, int64_t rows, int64_t size, bool has_delta, int64_t stride = 0) {
  constexpr float kEps = 1e-6f;
  if (stride == 0) stride = size;
  auto residual = noise<T>((rows - 1) * stride + size, "residual");
  auto delta = noise<T>(rows * size, "delta"), weight = noise<T>(size, "weight");
  cuda_on_cpu::Buffer<T> sum(has_delta ? rows * size : 0, "sum"), normalised(rows * size, "normalised");
  launcher(residual.data(), has_delta ? delta.data() : nullptr, weight.data(), has_delta ? sum.data() : nullptr,
           normalised.data(), rows, size, stride, kEps, is_bf16<T>, nullptr);
  const int64_t threads = size >= 4096 ? 1024 : 256;
  const bool is_by_warps = is_bf16<T> && size <= 1024 && size % 8 == 0 && stride % 8 == 0;
  Comparison comparison;
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<float> x(size), squares(threads, 0.f);
    for (int64_t i = 0; i < size; ++i) {
      x[i] = wide(residual[row * stride + i]);
      if (has_delta) {
        x[i] = rounded<T>(x[i] + wide(delta[row * size + i]));
        comparison.add(sum[row * size + i], narrow<T>(x[i]), "size", size, "sum, row", row, "element", i);
      }
      // By warps: a lane eight numbers at a time, each square fused into its sum.
      auto& own = squares[is_by_warps ? i / 8 % 32 : i % threads];
      own = is_by_warps ? std::fma(x[i], x[i], own) : own + x[i] * x[i];
    }
    const float all = is_by_warps ? warp_sum({squares.begin(), squares.begin() + 32}) : block_sum(squares);
    const float scale = 1.f / std::sqrt(all / static_cast<float>(size) + kEps);
    for (int64_t i = 0; i < size; ++i) {
      comparison.add(normalised[row * size + i], narrow<T>(rounded<T>(x[i] * scale) * wide(weight[i])), "size", size,
                     "normalised, row", row, "element", i);
    }
  }
  return comparison;
}

// Beside a warp and a block, of the 1B, with and without a delta; and rows of three times their size.
template <typename Launcher>
Comparison check_add_rms_norm_shapes(Launcher launcher) {
  Comparison all;
  for (const bool has_delta : {true, false}) {
    for (const int64_t size : {1, 8, 31, 33, 255, 256, 257, 507, 896, 1024}) {
      all.add(check_add_rms_norm<float>(launcher, 3, size, has_delta));
      all.add(check_add_rms_norm<__nv_bfloat16>(launcher, 3, size, has_delta));
    }
    all.add(check_add_rms_norm<float>(launcher, 5, 33, has_delta, 99));
    all.add(check_add_rms_norm<__nv_bfloat16>(launcher, 5, 33, has_delta, 99));
    all.add(check_add_rms_norm<__nv_bfloat16>(launcher, 5, 40, has_delta, 120));
  }
  return all;
}

}  // namespace facellm
