// quantised_product_cuda.cu and dequantise_cuda.cu against what the CPU's plain kernels put back of the same blocks.
#pragma once

#include <cmath>
#include <vector>

#include "comparison.h"
#include "kernels/cpu/quantised_kernels.h"
#include "kernels/dequantise/dequantise_cuda.h"
#include "kernels/quantised_product/quantised_product_cuda.h"

namespace facellm {

// Launchers whose types are of this namespace or of a copy's.
template <typename Form, typename Shape>
using ProductLauncher = void (*)(Form, const void*, const void*, const void*, void*, const Shape&, cudaStream_t);
template <typename Form, typename Shape>
using DequantiseLauncher = void (*)(Form, const void*, void*, const Shape&, bool, cudaStream_t);

constexpr WeightForm kQuantisedForms[] = {WeightForm::kInt8, WeightForm::kInt4, WeightForm::kFp8, WeightForm::kNf4};

// A weight drawn and packed by the plain kernels, and what its codes stand for.
struct PackedSample {
  WeightForm form;
  int64_t rows, inner, group, block_bytes;
  cuda_on_cpu::Buffer<uint8_t> blocks;
  std::vector<float> values;

  static int64_t bytes_of(WeightForm form, int64_t inner, int64_t group) {
    switch (form) {
      case WeightForm::kInt8: return int8_block_bytes(inner);
      case WeightForm::kInt4: return int4_block_bytes(inner, group);
      case WeightForm::kFp8: return fp8_block_bytes(inner);
      default: return nf4_block_bytes(inner);
    }
  }
  static const QuantisedForm& kernels_of(WeightForm form) {
    switch (form) {
      case WeightForm::kInt8: return kScalarQuantised.int8;
      case WeightForm::kInt4: return kScalarQuantised.int4;
      case WeightForm::kFp8: return kScalarQuantised.fp8;
      default: return kScalarQuantised.nf4;
    }
  }

  PackedSample(WeightForm of_form, int64_t of_rows, int64_t of_inner, int64_t of_group)
      : form(of_form), rows(of_rows), inner(of_inner), group(of_group), block_bytes(bytes_of(of_form, of_inner, of_group)),
        blocks(static_cast<size_t>((of_rows + 31) / 32 * block_bytes), "blocks"), values(static_cast<size_t>(of_rows * of_inner)) {
    std::mt19937 generator(static_cast<unsigned>(rows + inner + group));
    std::normal_distribution<float> normal;
    for (auto& x : values) x = normal(generator) / std::sqrt(static_cast<float>(inner));
    const int64_t count = (rows + 31) / 32;
    std::vector<uint8_t> packed(static_cast<size_t>(count * block_bytes));
    kernels_of(form).pack(packed.data(), values.data(), inner, rows, inner, group, 0, count);
    std::copy(packed.begin(), packed.end(), blocks.begin());
    kernels_of(form).unpack(values.data(), inner, packed.data(), rows, inner, group, 0, count);
  }
  // What the product multiplies.
  double weight(int64_t row, int64_t k) const {
    const float x = values[static_cast<size_t>(row * inner + k)];
    return form == WeightForm::kNf4 ? rounded<__nv_bfloat16>(x) : x;
  }
};

struct ProductCase {
  int64_t rows, in, out, group;
  bool is_gated, has_bias;
};

// Differences beyond what the sums' roundings allow are told as differences.
template <typename Form, typename Shape>
Comparison check_quantised_product(ProductLauncher<Form, Shape> launcher, WeightForm form, const ProductCase& n) {
  using Bf16 = __nv_bfloat16;
  PackedSample weight(form, n.is_gated ? 2 * n.out : n.out, n.in, n.group);
  std::mt19937 generator(static_cast<unsigned>(n.rows + n.in));
  std::normal_distribution<float> normal;
  cuda_on_cpu::Buffer<Bf16> x(static_cast<size_t>(n.rows * n.in), "x"), bias(static_cast<size_t>(n.out), "bias");
  for (auto& each : x) each = narrow<Bf16>(normal(generator));
  for (auto& each : bias) each = narrow<Bf16>(normal(generator));
  cuda_on_cpu::Buffer<Bf16> out(static_cast<size_t>(n.rows * n.out), "out");
  launcher(static_cast<Form>(form), x.data(), weight.blocks.data(), n.has_bias ? bias.data() : nullptr, out.data(),
           {n.rows, n.in, n.out, weight.block_bytes, n.group, n.is_gated}, nullptr);
  Comparison comparison;
  constexpr double kUnit = 0x1p-24, kStep = 0x1p-8;
  struct Sum {
    double value, error;  // what fp32 sums in any order, and the scales after them, may be off by
  };
  const auto sum_of = [&](int64_t row, int64_t output) {
    Sum sum{0, 0};
    for (int64_t k = 0; k < n.in; ++k) {
      const double part = static_cast<double>(wide(x[static_cast<size_t>(row * n.in + k)])) * weight.weight(output, k);
      sum.value += part;
      sum.error += std::abs(part) * static_cast<double>(n.in + 4) * kUnit;
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
      } else if (n.has_bias) {
        truth += wide(bias[static_cast<size_t>(o)]);
        error += std::abs(truth) * kUnit;
      }
      const float actual = wide(out[static_cast<size_t>(r * n.out + o)]), expected = static_cast<float>(truth);
      const bool is_close = std::abs(actual - truth) <= error + std::abs(truth) * kStep + 1e-30;
      comparison.add(is_close ? expected : actual, expected, "form", static_cast<int>(form), "row", r, "of", n.rows, "output", o, "in", n.in);
    }
  }
  return comparison;
}

template <typename Form, typename Shape>
Comparison check_quantised_product_shapes(ProductLauncher<Form, Shape> launcher, bool has_many = true) {
  Comparison all;
  for (const auto form : kQuantisedForms) {
    // Fewer steps than warps, a whole turn of them, and beside it; outputs beside a block; every number of tiles.
    all.add(check_quantised_product(launcher, form, {1, 64, 33, 32, false, true}));
    all.add(check_quantised_product(launcher, form, {3, 896, 40, 64, false, false}));
    all.add(check_quantised_product(launcher, form, {2, 640, 32, 128, true, false}));
    // Of more blocks than two multiprocessors have at once: without more loads ahead.
    all.add(check_quantised_product(launcher, form, {2, 640, 130, 64, false, true}));
    if (!has_many) continue;
    all.add(check_quantised_product(launcher, form, {10, 192, 128, 32, true, false}));
    all.add(check_quantised_product(launcher, form, {20, 192, 130, 64, false, true}));
    all.add(check_quantised_product(launcher, form, {64, 128, 128, 128, true, false}));
    all.add(check_quantised_product(launcher, form, {9, 192, 64, 64, true, false}));
    all.add(check_quantised_product(launcher, form, {16, 128, 31, 128, false, true}));
    all.add(check_quantised_product(launcher, form, {17, 128, 32, 32, true, false}));
    all.add(check_quantised_product(launcher, form, {32, 64, 5, 64, false, true}));
    all.add(check_quantised_product(launcher, form, {64, 192, 32, 64, true, false}));
    all.add(check_quantised_product(launcher, form, {57, 128, 64, 64, false, true}));
  }
  return all;
}

template <typename T, typename Form, typename Shape>
Comparison check_dequantise(DequantiseLauncher<Form, Shape> launcher, WeightForm form, int64_t rows, int64_t inner, int64_t group) {
  PackedSample weight(form, rows, inner, group);
  cuda_on_cpu::Buffer<T> out(static_cast<size_t>(rows * inner), "out");
  launcher(static_cast<Form>(form), weight.blocks.data(), out.data(), {rows, inner, weight.block_bytes, group}, is_bf16<T>, nullptr);
  Comparison comparison;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t k = 0; k < inner; ++k) {
      const auto at = static_cast<size_t>(r * inner + k);
      comparison.add(out[at], narrow<T>(weight.values[at]), "form", static_cast<int>(form), "row", r, "column", k, "of", inner);
    }
  }
  return comparison;
}

template <typename Form, typename Shape>
Comparison check_dequantise_shapes(DequantiseLauncher<Form, Shape> launcher) {
  Comparison all;
  for (const auto form : kQuantisedForms) {
    for (const int64_t inner : {1, 30, 64, 100, 129, 896}) {
      all.add(check_dequantise<__nv_bfloat16>(launcher, form, 33, inner, 32));
      all.add(check_dequantise<float>(launcher, form, 7, inner, 64));
    }
    all.add(check_dequantise<__nv_bfloat16>(launcher, form, 2, 4864, 128));
  }
  return all;
}

}  // namespace facellm
