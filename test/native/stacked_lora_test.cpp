// native/lora: one layer under several stacks at once, held to the exact sums, and the partition of rows.
#include "lora/stacked_lora.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "kernels/product/product.h"

namespace facellm {
namespace {

constexpr int64_t kIn = 48, kOut = 40, kRows = 37;

Linear random_linear(at::ScalarType dtype, bool has_bias) {
  auto linear = Linear::empty(kIn, kOut, has_bias, at::TensorOptions(dtype));
  linear.weight.normal_(0, 0.2);
  if (has_bias) linear.bias.normal_();
  return linear;
}

// Two slices of a fused layer, or one over all of it; rank by `number`.
std::vector<LoraSlice> random_slices(const Linear& linear, int64_t number) {
  const auto dtype = linear.weight.scalar_type();
  const int64_t rank = 1 + number % 5;
  const auto slice = [&](int64_t begin, int64_t count, bool is_dora) {
    LoraSlice own{begin, count, at::randn({rank, kIn}).mul_(0.2).to(dtype), at::randn({count, rank}).mul_(0.2).to(dtype), {},
                  0.5 + static_cast<double>(number)};
    if (is_dora) own.magnitude = at::rand({count}).add_(0.5);
    return own;
  };
  const bool is_dora = number % 3 == 2;
  if (number % 2 == 0) return {slice(0, kOut, is_dora)};
  return {slice(0, 16, is_dora), slice(24, 16, false)};
}

struct Exact {
  at::Tensor values, magnitudes;  // what is summed, and the sum of its absolute values; double [T, out]
};

Exact exact(const Linear& linear, const std::vector<LoraSlice>& slices, const at::Tensor& x) {
  const auto wide = [](const at::Tensor& t) { return t.to(at::kDouble); };
  const auto weight = wide(linear.weight), rows = wide(x);
  const auto bias = linear.bias.defined() ? wide(linear.bias) : at::zeros({kOut}, at::kDouble);
  auto sum = at::mm(rows, weight.t()), magnitude = at::mm(rows.abs(), weight.abs().t());
  for (const auto& slice : slices) {
    const auto a = wide(slice.a), b = wide(slice.b);
    auto own = sum.narrow(1, slice.begin, slice.count), own_magnitude = magnitude.narrow(1, slice.begin, slice.count);
    own.add_(at::mm(at::mm(rows, a.t()), b.t()), slice.scaling);
    own_magnitude.add_(at::mm(at::mm(rows.abs(), a.abs().t()), b.abs().t()), slice.scaling);
    if (!slice.magnitude.defined()) continue;
    const auto merged = weight.narrow(0, slice.begin, slice.count) + at::mm(b, a) * slice.scaling;
    const auto gain = wide(slice.magnitude) / at::linalg_vector_norm(merged, 2, {1});
    own.mul_(gain);
    // DoRA takes the bias from the product and adds it after.
    own_magnitude.add_(bias.narrow(0, slice.begin, slice.count).abs(), 2).mul_(gain.clamp_min(1));
  }
  return {sum + bias, magnitude + bias.abs()};
}

void expect_exact(const at::Tensor& actual, const Exact& expected) {
  // Sums of at most kIn + rank + 4 terms in fp32, each product and each sum rounded (the textbook bound), and DoRA's gain
  // the same again. In bf16 the base product, x A^T, B's product and the result are each rounded to 2^-8 as well.
  const double sums = 2 * (kIn + 5 + 4) * 0x1p-24;
  const double unit = actual.scalar_type() == at::kBFloat16 ? 4 * 0x1p-8 + sums : sums;
  const auto error = (actual.to(at::kDouble) - expected.values).abs();
  EXPECT_TRUE((error <= expected.magnitudes * unit).all().item<bool>())
      << "worst " << (error / expected.magnitudes).max().item<double>() << ", allowed " << unit;
}

at::Tensor base_product(const Linear& linear, const at::Tensor& x) {
  return linear_product(x, linear.weight, linear.bias);
}

struct Layer {
  Linear linear;
  std::vector<std::vector<LoraSlice>> slices;  // stack i + 1's
  std::shared_ptr<RowGroups> groups = std::make_shared<RowGroups>();
  at::Tensor x;

  Layer(at::ScalarType dtype, bool has_bias, int64_t stacks) : linear(random_linear(dtype, has_bias)) {
    std::vector<StackedLora::Part> parts;
    for (int64_t i = 0; i < stacks; ++i) {
      slices.push_back(random_slices(linear, i));
      parts.emplace_back(i + 1, std::make_shared<const FrozenLora>(linear, slices.back()));
    }
    x = at::randn({kRows, kIn}).to(dtype);
    linear.extension = std::make_shared<const StackedLora>(groups, parts);
  }
};

TEST(StackedLora, EveryRowIsItsOwnStacks) {
  const c10::InferenceMode inference;
  at::manual_seed(1);
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    for (const bool has_bias : {false, true}) {
      for (const int64_t stacks : {1, 2, 8}) {
        const Layer layer(dtype, has_bias, stacks);
        // One row, none, four, ..., with rows of the base before, between and behind.
        std::vector<RowGroup> groups;
        int64_t begin = 2;
        for (int64_t i = 0; i < stacks; ++i) {
          groups.push_back({static_cast<uint64_t>(stacks - i), begin, i == 1 ? 0 : 1 + i % 4});
          begin += groups.back().count + i % 2;
        }
        layer.groups->set(kRows, groups);
        const auto out = layer.linear(layer.x);
        const auto base = base_product(layer.linear, layer.x);
        auto is_base = at::ones({kRows}, at::kBool);
        for (const auto& [stack, first, count] : groups) {
          if (count == 0) continue;
          is_base.narrow(0, first, count).fill_(false);
          expect_exact(out.narrow(0, first, count),
                       exact(layer.linear, layer.slices[stack - 1], layer.x.narrow(0, first, count)));
        }
        EXPECT_TRUE(at::equal(out.index({is_base}), base.index({is_base})));
        // Shapes other than rows by columns: [N, P, in].
        const auto padded = at::cat({layer.x, layer.x.narrow(0, 0, 1)}).view({2, 19, kIn});
        layer.groups->set(kRows + 1, groups);
        EXPECT_EQ(layer.linear(padded).sizes(), (std::vector<int64_t>{2, 19, kOut}));
      }
    }
  }
}

TEST(StackedLora, OneStackOverAllRowsIsOneGroup) {
  const c10::InferenceMode inference;
  at::manual_seed(2);
  const Layer layer(at::kFloat, true, 3);
  for (uint64_t stack = 1; stack <= 3; ++stack) {
    layer.groups->set_all(stack);
    const auto all = layer.linear(layer.x);
    expect_exact(all, exact(layer.linear, layer.slices[stack - 1], layer.x));
    const std::vector<RowGroup> one{{stack, 0, kRows}};
    layer.groups->set(kRows, one);
    EXPECT_TRUE(at::equal(layer.linear(layer.x), all));
  }
  const auto base = base_product(layer.linear, layer.x);
  layer.groups->set_all(0);
  EXPECT_TRUE(at::equal(layer.linear(layer.x), base));
  layer.groups->set(kRows, {});
  EXPECT_TRUE(at::equal(layer.linear(layer.x), base));
  const std::vector<RowGroup> unknown{{99, 0, kRows}};  // a stack that leaves this layer alone
  layer.groups->set(kRows, unknown);
  EXPECT_TRUE(at::equal(layer.linear(layer.x), base));
}

TEST(StackedLora, WhereInvariantARowIsIndependentOfItsGroupsSize) {
  const c10::InferenceMode inference;
  at::manual_seed(3);
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const Layer layer(dtype, true, 3);
    layer.groups->set_invariant();
    for (uint64_t stack = 1; stack <= 3; ++stack) {
      const auto in_group = [&](int64_t begin, int64_t count) {
        const std::vector<RowGroup> groups{{stack, begin, count}};
        layer.groups->set(kRows, groups);
        return layer.linear(layer.x).narrow(0, begin, count);
      };
      const auto whole = in_group(0, kRows);
      const Exact expected = exact(layer.linear, layer.slices[stack - 1], layer.x);
      for (const int64_t count : {1, 2, 3, 5, 7, 8, 9, 17}) {
        const auto part = in_group(4, count);
        expect_exact(part, {expected.values.narrow(0, 4, count), expected.magnitudes.narrow(0, 4, count)});
        EXPECT_TRUE(at::equal(part, whole.narrow(0, 4, count))) << count;
      }
    }
  }
}

TEST(RowGroups, RefusesWhatIsNoPartition) {
  RowGroups groups;
  const auto code = [&](int64_t rows, std::vector<RowGroup> list) {
    try {
      groups.set(rows, list);
      groups.each(rows, [](const RowGroup&) {});
    } catch (const Error& error) {
      return std::string(error_code_name(error.code()));
    }
    return std::string("none");
  };
  EXPECT_EQ(code(5, {{1, 0, 2}, {2, 2, 3}}), "none");
  for (const auto& bad : std::vector<std::vector<RowGroup>>{
           {{1, 0, 3}, {2, 2, 1}}, {{1, 3, 1}, {2, 0, 1}}, {{1, 0, 6}}, {{1, -1, 1}}, {{1, 0, -1}}, {{1, 6, 0}}}) {
    EXPECT_EQ(code(5, bad), "FACELLM_INTERNAL");
  }
  // What was set before goes on, and a pass of another size is none of its passes.
  int called = 0;
  groups.each(5, [&](const RowGroup&) { ++called; });
  EXPECT_EQ(called, 2);
  EXPECT_THROW(groups.each(4, [](const RowGroup&) {}), Error);
}

}  // namespace
}  // namespace facellm
