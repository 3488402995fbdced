// Products of bf16 on processors without hardware for them: the widened path against fp64 truth and against
// libtorch's own, forward and backward, on every processor; and what decides which path is taken.
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/cpu_level.h"
#include "core/error.h"
#include "kernels/product/product.h"

namespace facellm {
namespace {

// Sums of K products in fp32 in any order are off by K 2^-24 of the sum of magnitudes at most; rounding to bf16
// adds half a step, 2^-8 of the value.
void expect_product(const at::Tensor& actual, const at::Tensor& a, const at::Tensor& b, const at::Tensor& added = {}) {
  const auto wide_a = a.to(at::kDouble), wide_b = b.to(at::kDouble);
  auto truth = at::mm(wide_a, wide_b), magnitude = at::mm(wide_a.abs(), wide_b.abs());
  if (added.defined()) {
    truth = truth + added;
    magnitude = magnitude + added.abs();
  }
  const auto allowed = truth.abs() * 0x1p-8 + magnitude * (static_cast<double>(a.size(1) + 2) * 0x1p-23);
  const auto error = (actual.to(at::kDouble) - truth).abs();
  EXPECT_TRUE((error <= allowed).all().item<bool>())
      << a.sizes() << b.sizes() << " worst " << (error / allowed).max().item<double>() << " of the bound";
}

at::Tensor noise(at::IntArrayRef shape) { return at::randn(shape, at::kBFloat16); }

TEST(Product, WidenedIsRoundedOnceWhateverTheShape) {
  at::manual_seed(1);
  // Rows, inner size, columns: one and more than one block of each.
  for (const auto& [m, k, n] : std::vector<std::array<int64_t, 3>>{
           {64, 33, 15}, {2049, 5, 3}, {7, 4099, 3}, {6, 4, 1031}, {1, 1, 1}, {0, 3, 4}, {3, 0, 4}}) {
    const auto a = noise({m, k}), a_t = noise({k, m}).t(), b = noise({k, n}), b_t = noise({n, k}).t();
    const auto bias = noise({n});
    for (const auto& left : {a, a_t, noise({m, k + 3}).narrow(1, 2, k)}) {
      for (const auto& right : {b, b_t}) {
        const auto out = at::full({m, n}, NAN, at::kBFloat16);
        widened_product(out, left, right, {}, 0, 1);
        expect_product(out, left, right);
        widened_product(out, left, right, bias, 0, 1);
        expect_product(out, left, right, bias.to(at::kDouble));
      }
    }
    // Added to what is there, in a strided window.
    const auto whole = noise({m, n + 5});
    const auto before = whole.clone();
    widened_product(whole.narrow(1, 3, n), a, b_t, {}, 1, 0.5);
    expect_product(whole.narrow(1, 3, n), a * 0.5, b_t, before.narrow(1, 3, n).to(at::kDouble));
    EXPECT_TRUE(at::equal(whole.narrow(1, 0, 3), before.narrow(1, 0, 3)));
    EXPECT_TRUE(at::equal(whole.narrow(1, 3 + n, 2), before.narrow(1, 3 + n, 2)));
  }
}

// Two roundings of nearly the same sum: one step of bf16 apart at most, 2^-7 of the value, wherever the sums'
// own difference is small beside it.
TEST(Product, WidenedIsWithinAStepOfThePresentPath) {
  at::manual_seed(2);
  const auto x = noise({2, 40, 896}), weight = noise({60, 896}), bias = noise({60});
  const auto wide = widened_linear(x, weight, bias).to(at::kDouble);
  const auto plain = at::linear(x, weight, bias).to(at::kDouble);
  const auto sums = at::linear(x.to(at::kDouble).abs(), weight.to(at::kDouble).abs());
  EXPECT_EQ(wide.sizes(), (std::vector<int64_t>{2, 40, 60}));
  EXPECT_TRUE(((wide - plain).abs() <= plain.abs() * 0x1p-7 + sums * (896 * 0x1p-23)).all().item<bool>());
}

TEST(Product, WidenedGradients) {
  at::manual_seed(3);
  const auto x = noise({2, 40, 33}), weight = noise({21, 33}), bias = noise({21}), dy = noise({2, 40, 21});
  const auto leaf = [](const at::Tensor& t) { return t.clone().set_requires_grad(true); };
  const auto own_x = leaf(x), own_weight = leaf(weight), own_bias = leaf(bias);
  const c10::AutoGradMode grad_mode(true);
  const auto out = widened_linear(own_x, own_weight, own_bias);
  out.backward(dy);
  const auto rows = x.view({80, 33}), dy_rows = dy.view({80, 21});
  expect_product(own_x.grad().view({80, 33}), dy_rows, weight);
  expect_product(own_weight.grad(), dy_rows.t(), rows);
  expect_product(own_bias.grad().unsqueeze(0), at::ones({1, 80}, at::kBFloat16), dy_rows);
  // One at a time, as frozen layers and inputs have it.
  const auto only_x = leaf(x), only_weight = leaf(weight);
  widened_linear(only_x, weight, bias).backward(dy);
  widened_linear(x, only_weight, {}).backward(dy);
  EXPECT_TRUE(at::equal(only_x.grad(), own_x.grad()));
  EXPECT_TRUE(at::equal(only_weight.grad(), own_weight.grad()));
}

TEST(Product, DispatchGivesTheSameWithinAStep) {
  at::manual_seed(4);
  const auto a = noise({70, 50}), b = noise({50, 30});
  expect_product(product(a, b), a, b);
  const auto out = noise({70, 30}), before = out.clone();
  add_product(out, a, b, 2);
  expect_product(out, a * 2, b, before.to(at::kDouble));
  // Other dtypes go through untouched.
  EXPECT_TRUE(at::equal(product(a.to(at::kFloat), b.to(at::kFloat)), at::mm(a.to(at::kFloat), b.to(at::kFloat))));
}

TEST(CpuLevel, IsHeldDownByNameAndNeverRaised) {
  const CpuFeatures amx{CpuLevel::kAmx, true}, zen3{CpuLevel::kAvx2, false}, skylake{CpuLevel::kAvx512, false};
  EXPECT_TRUE(has_fast_bf16_products(capped(amx, "")));
  EXPECT_EQ(capped(amx, "avx512").level, CpuLevel::kAvx512);
  EXPECT_TRUE(has_fast_bf16_products(capped(amx, "avx512")));
  EXPECT_EQ(capped(amx, "avx2").level, CpuLevel::kAvx2);
  EXPECT_EQ(capped(zen3, "amx").level, CpuLevel::kAvx2);
  EXPECT_EQ(capped(zen3, "scalar").level, CpuLevel::kScalar);
#if defined(__x86_64__)
  EXPECT_FALSE(has_fast_bf16_products(capped(amx, "avx2")));
  EXPECT_FALSE(has_fast_bf16_products(skylake));
#endif
  try {
    capped(zen3, "sse9");
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(error.message().find("FACELLM_CPU_ISA"), std::string::npos);
    EXPECT_NE(error.message().find("sse9"), std::string::npos);
  }
}

}  // namespace
}  // namespace facellm
