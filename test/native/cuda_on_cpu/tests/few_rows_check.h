// few_rows_cuda.cu against sums in double, and, where it has a norm before and heads behind, against the kernels that do those alone.
#pragma once

#include <cmath>

#include "comparison.h"
#include "kernels/add_rms_norm/add_rms_norm_cuda.h"
#include "kernels/product/few_rows_cuda.h"

namespace facellm {

// A copy of the kernel has types of its own; their memory is the same.
template <typename Work>
void launch_few_rows(void (*launcher)(const Work&, cudaStream_t), const FewRows& work) {
  static_assert(sizeof(Work) == sizeof work);
  launcher(reinterpret_cast<const Work&>(work), nullptr);
}

struct FewRowsCase {
  int64_t rows, in, out;
  bool is_gated;
};

// `launcher`: few_rows_cuda, or another that claims to do the same. Differences beyond what the sums' roundings allow
// are told as differences.
template <typename Launcher>
Comparison check_few_rows(Launcher launcher, const FewRowsCase& n, bool has_bias) {
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
  const bool is_narrow = n.in > kMostFewRowsIn && !n.is_gated && n.in % 64 == 0;
  const auto outputs = n.is_gated ? FewRowsOutputs::kGated : is_narrow ? FewRowsOutputs::kNarrow : FewRowsOutputs::kPlain;
  launch_few_rows(launcher, {x.data(), weight.data(), has_bias ? bias.data() : nullptr, out.data(),
                             {n.rows, n.in, n.out, outputs}, {}, {}});
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

struct FusedRowsCase {
  int64_t rows, in, heads, kv_heads, head_dim;  // heads 0: gated, with `head_dim` outputs
  bool has_delta, has_bias;
};

// The same bits as one kernel after another.
template <typename Launcher>
Comparison check_fused_rows(Launcher launcher, const FusedRowsCase& n) {
  using Bf16 = __nv_bfloat16;
  constexpr float kEps = 1e-6f;
  const bool is_gated = n.heads == 0;
  const int64_t out_size = is_gated ? n.head_dim : (n.heads + 2 * n.kv_heads) * n.head_dim, weight_rows = is_gated ? 2 * out_size : out_size;
  auto residual = noise<Bf16>(n.rows * n.in, "residual"), delta = noise<Bf16>(n.rows * n.in, "delta");
  auto norm_weight = noise<Bf16>(n.in, "norm weight"), weight = noise<Bf16>(weight_rows * n.in, "weight"), bias = noise<Bf16>(out_size, "bias");
  for (auto& x : weight) x = narrow<Bf16>(wide(x) / std::sqrt(static_cast<float>(n.in)));
  auto cos = noise<Bf16>(n.rows * n.head_dim, "cos"), sin = noise<Bf16>(n.rows * n.head_dim, "sin");
  const int64_t slots_count = 2 * n.rows + 1, pool_size = std::max<int64_t>(n.kv_heads, 1) * slots_count * n.head_dim;
  cuda_on_cpu::Buffer<int64_t> slots(static_cast<size_t>(n.rows), "slots");
  for (int64_t r = 0; r < n.rows; ++r) slots[static_cast<size_t>(r)] = r == 1 ? -1 : 2 * r + 1;  // a row without a place
  const RopeKvAppendShape shape{n.rows, n.heads, n.kv_heads, n.head_dim, slots_count, {slots_count * n.head_dim, n.head_dim},
                                {slots_count * n.head_dim, n.head_dim}};
  const auto zeros = [](int64_t count, const char* name) {
    cuda_on_cpu::Buffer<Bf16> made(static_cast<size_t>(count), name);
    for (auto& x : made) x = narrow<Bf16>(0);
    return made;
  };
  struct Results {
    cuda_on_cpu::Buffer<Bf16> sum, out, keys, values;
  };
  const auto results = [&] {
    return Results{zeros(n.rows * n.in, "sum"), zeros(n.rows * (is_gated ? out_size : n.heads * n.head_dim), "out"), zeros(pool_size, "keys"),
                   zeros(pool_size, "values")};
  };
  auto fused = results(), apart = results();
  const void* const added = n.has_delta ? delta.data() : nullptr;
  const void* const own_bias = n.has_bias ? bias.data() : nullptr;
  const auto outputs = is_gated ? FewRowsOutputs::kGated : FewRowsOutputs::kRotary;
  FewRows work{nullptr, weight.data(), own_bias, is_gated ? fused.out.data() : nullptr, {n.rows, n.in, out_size, outputs},
               {residual.data(), added, norm_weight.data(), n.has_delta ? fused.sum.data() : nullptr, kEps}, {}};
  if (!is_gated) work.rotary = {cos.data(), sin.data(), slots.data(), fused.out.data(), fused.keys.data(), fused.values.data(), shape};
  launch_few_rows(launcher, work);

  auto normalised = zeros(n.rows * n.in, "normalised"), product = zeros(n.rows * out_size, "product");
  add_rms_norm_cuda(residual.data(), added, norm_weight.data(), n.has_delta ? apart.sum.data() : nullptr, normalised.data(), n.rows, n.in, n.in,
                    kEps, true, nullptr);
  few_rows_cuda({normalised.data(), weight.data(), own_bias, is_gated ? apart.out.data() : product.data(),
                 {n.rows, n.in, out_size, is_gated ? outputs : FewRowsOutputs::kPlain}, {}, {}},
                nullptr);
  if (!is_gated) {
    rope_kv_append_cuda(product.data(), cos.data(), sin.data(), slots.data(), apart.out.data(), apart.keys.data(), apart.values.data(), shape,
                        true, nullptr);
  }
  Comparison comparison;
  const auto compare = [&](auto& actual, auto& expected, const char* what) {
    for (size_t i = 0; i < expected.size(); ++i) comparison.add(actual[i], expected[i], what, i, "of rows", n.rows, "in", n.in);
  };
  compare(fused.sum, apart.sum, "sum");
  compare(fused.out, apart.out, "out");
  compare(fused.keys, apart.keys, "keys");
  compare(fused.values, apart.values, "values");
  return comparison;
}

template <typename Launcher>
Comparison check_few_rows_shapes(Launcher launcher) {
  Comparison all;
  // Fewer columns than the warps of a block, a multiple of what they take at once, and beside it; outputs beside a tile.
  for (const int64_t in : {32, 896, 1024, 1056, 2112, 4864}) {
    all.add(check_few_rows(launcher, {1, in, 17, false}, true));
    all.add(check_few_rows(launcher, {1, in, 9, true}, false));
  }
  for (const int64_t rows : {2, 7, 8, 9, 16}) {
    all.add(check_few_rows(launcher, {rows, 96, 31, false}, rows % 2 == 0));
    all.add(check_few_rows(launcher, {rows, 96, 15, true}, false));
  }
  all.add(check_few_rows(launcher, {3, 64, 1, false}, true));
  all.add(check_few_rows(launcher, {3, 64, 1, true}, false));
  for (const int64_t rows : {1, 2, 7, 8}) {
    all.add(check_fused_rows(launcher, {rows, 96, 0, 0, 15, rows != 2, false}));
    all.add(check_fused_rows(launcher, {rows, 128, 4, 2, 32, rows != 2, rows != 7}));
  }
  all.add(check_fused_rows(launcher, {3, 896, 2, 1, 64, true, true}));
  all.add(check_fused_rows(launcher, {1, 1024, 2, 1, 128, true, true}));
  all.add(check_fused_rows(launcher, {1, 896, 0, 0, 40, true, false}));
  return all;
}

}  // namespace facellm
