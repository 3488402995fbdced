// The numbers of swiglu_backward_cuda.cu, add_rms_norm_backward_cuda.cu and rope_backward_cuda.cu by scalar references: sums in their own
// order, each documented rounding once.
#pragma once

#include <cmath>
#include <vector>

#include "add_rms_norm_check.h"
#include "comparison.h"

namespace facellm {

// `launcher`: swiglu_backward_cuda, or another that claims to do the same; so the others.
template <typename T, typename Launcher>
Comparison check_swiglu_backward(Launcher launcher, int64_t rows, int64_t size) {
  auto gate_up = noise<T>(rows * 2 * size, "gate_up"), of_out = noise<T>(rows * size, "of_out");
  cuda_on_cpu::Buffer<T> out(rows * 2 * size, "out");
  launcher(gate_up.data(), of_out.data(), out.data(), rows, size, is_bf16<T>, nullptr);
  Comparison comparison;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < size; ++i) {
      const int64_t at = row * 2 * size + i;
      const float g = wide(gate_up[at]), up = wide(gate_up[at + size]), dy = wide(of_out[row * size + i]);
      const float small = expf(-std::abs(g)), all = 1.f + small;
      const float s = (g < 0 ? small : 1.f) / all, rest = (g < 0 ? 1.f : small) / all, product = g * rest;
      comparison.add(out[at], narrow<T>(dy * up * s * (product + 1.f)), rows, "x", size, "gate of row", row, "element", i);
      comparison.add(out[at + size], narrow<T>(dy * (g * s)), rows, "x", size, "up of row", row, "element", i);
    }
  }
  return comparison;
}

template <typename Launcher>
Comparison check_swiglu_backward_shapes(Launcher launcher) {
  Comparison all;
  for (const int64_t size : {1, 8, 31, 33, 123, 255, 256, 257, 513, 2056}) {
    all.add(check_swiglu_backward<float>(launcher, 3, size));
    all.add(check_swiglu_backward<__nv_bfloat16>(launcher, 3, size));
  }
  return all;
}

template <typename T, typename Launcher>
Comparison check_add_rms_norm_backward(Launcher launcher, int64_t rows, int64_t size, bool has_other) {
  constexpr float kEps = 1e-6f;
  constexpr int64_t kThreads = 256;
  auto sum = noise<T>(rows * size, "sum"), weight = noise<T>(size, "weight");
  auto of_normalised = noise<T>(rows * size, "of_normalised"), of_sum = noise<T>(has_other ? rows * size : 0, "of_sum");
  cuda_on_cpu::Buffer<T> out(rows * size, "out");
  launcher(sum.data(), weight.data(), of_normalised.data(), has_other ? of_sum.data() : nullptr, out.data(), rows, size, kEps, is_bf16<T>,
           nullptr);
  const int64_t each = is_bf16<T> && size % 8 == 0 ? 8 : 1;
  Comparison comparison;
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<float> squares(kThreads, 0.f), products(kThreads, 0.f);
    const auto x = [&](int64_t i) { return wide(sum[row * size + i]); };
    const auto g = [&](int64_t i) { return wide(of_normalised[row * size + i]) * wide(weight[i]); };
    for (int64_t i = 0; i < size; ++i) {
      const auto thread = static_cast<size_t>(i / each % kThreads);
      squares[thread] = std::fma(x(i), x(i), squares[thread]);
      products[thread] = std::fma(g(i), x(i), products[thread]);
    }
    const auto count = static_cast<float>(size);
    const float mean = block_sum(squares) / count + kEps, share = block_sum(products) / count / mean, scale = 1.f / std::sqrt(mean);
    for (int64_t i = 0; i < size; ++i) {
      float dx = std::fma(-x(i), share, g(i)) * scale;
      if (has_other) dx += wide(of_sum[row * size + i]);
      comparison.add(out[row * size + i], narrow<T>(dx), "size", size, "row", row, "element", i);
    }
  }
  return comparison;
}

template <typename Launcher>
Comparison check_add_rms_norm_backward_shapes(Launcher launcher) {
  Comparison all;
  for (const bool has_other : {true, false}) {
    for (const int64_t size : {1, 8, 33, 255, 256, 257, 896, 2056, 3584}) {
      all.add(check_add_rms_norm_backward<float>(launcher, 2, size, has_other));
      all.add(check_add_rms_norm_backward<__nv_bfloat16>(launcher, 2, size, has_other));
    }
  }
  return all;
}

struct RopeBackwardSizes {
  int64_t tokens, heads, kv_heads, head_dim, slack;  // slack: elements behind each head of a token
};

template <typename T, typename Launcher>
Comparison check_rope_backward(Launcher launcher, const RopeBackwardSizes& n) {
  const int64_t all = n.heads + 2 * n.kv_heads, half = n.head_dim / 2, one = n.head_dim + n.slack;
  // q and values have heads within tokens, keys the other way round.
  auto q = noise<T>(n.tokens * n.heads * one, "q"), values = noise<T>(n.tokens * n.kv_heads * one, "values");
  auto keys = noise<T>(n.kv_heads * n.tokens * one, "keys");
  auto cos = noise<T>(n.tokens * n.head_dim, "cos"), sin = noise<T>(n.tokens * n.head_dim, "sin");
  cuda_on_cpu::Buffer<T> out(n.tokens * all * n.head_dim, "out");
  launcher(q.data(), keys.data(), values.data(), cos.data(), sin.data(), out.data(),
           {n.tokens, n.heads, n.kv_heads, n.head_dim, {one, n.heads * one}, {n.tokens * one, one}, {one, n.kv_heads * one}}, is_bf16<T>,
           nullptr);
  Comparison comparison;
  for (int64_t t = 0; t < n.tokens; ++t) {
    for (int64_t h = 0; h < all; ++h) {
      const int64_t k = h - n.heads, v = k - n.kv_heads;
      const T* const from = k < 0 ? &q[(t * n.heads + h) * one] : v < 0 ? &keys[(k * n.tokens + t) * one] : &values[(t * n.kv_heads + v) * one];
      for (int64_t i = 0; i < n.head_dim; ++i) {
        const int64_t pair = i < half ? i + half : i - half;
        const float other = i < half ? wide(from[pair]) : -wide(from[pair]);
        const float turned = rounded<T>(wide(from[i]) * wide(cos[t * n.head_dim + i])) + rounded<T>(other * wide(sin[t * n.head_dim + pair]));
        comparison.add(out[(t * all + h) * n.head_dim + i], v >= 0 ? from[i] : narrow<T>(turned), "head size", n.head_dim, "token", t, "head", h,
                       "element", i);
      }
    }
  }
  return comparison;
}

template <typename Launcher>
Comparison check_rope_backward_shapes(Launcher launcher) {
  Comparison all;
  for (const auto& sizes : {RopeBackwardSizes{2, 14, 2, 64, 0},   // the 1B
                            RopeBackwardSizes{5, 4, 4, 128, 8},   // as many keys as queries, and slack
                            RopeBackwardSizes{3, 6, 3, 18, 1},    // a half of nine
                            RopeBackwardSizes{6, 1, 1, 2, 0},     // one pair
                            RopeBackwardSizes{3, 2, 1, 32, 4}}) { // eights that begin anywhere
    all.add(check_rope_backward<float>(launcher, sizes));
    all.add(check_rope_backward<__nv_bfloat16>(launcher, sizes));
  }
  return all;
}

}  // namespace facellm
