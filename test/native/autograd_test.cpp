// Every hand-written backward pass against finite differences in float64, and against the composed
// reference.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <functional>
#include <vector>

#include "devices.h"
#include "kernels/add_rms_norm/add_rms_norm.h"
#include "kernels/rope_kv_append/rope_heads.h"
#include "kernels/swiglu/swiglu.h"
#include "lora/lora_linear.h"
#include "training/activation_checkpoint.h"
#include "training/loss.h"
#include "training/optimizer.h"

namespace facellm {
namespace {

using Tensors = std::vector<at::Tensor>;
using Function = std::function<at::Tensor(const Tensors&)>;  // to one tensor of any shape

const auto kDouble = at::TensorOptions(at::kDouble);

at::Tensor random(at::IntArrayRef shape, double scale = 1.0) { return at::randn(shape, kDouble) * scale; }

// A scalar of the outputs that weighs every element differently.
at::Tensor weighed(const at::Tensor& out) {
  const auto weights = at::arange(1, out.numel() + 1, kDouble).view(out.sizes()).cos();
  return (out * weights).sum();
}

Tensors gradients(const Function& function, const Tensors& inputs) {
  Tensors leaves;
  for (const auto& x : inputs) leaves.push_back(x.detach().clone().set_requires_grad(true));
  const c10::AutoGradMode grad_mode(true);
  weighed(function(leaves)).backward();
  Tensors result;
  for (const auto& leaf : leaves) result.push_back(leaf.grad());
  return result;
}

// Central differences: their error is h^2 / 6 times the third derivative plus eps / h, 1e-10 and 2e-11 for
// h = 1e-5 and values of order one; a wrong formula misses by the order of the gradient itself.
void expect_gradients(const Function& function, const Tensors& inputs) {
  const auto analytic = gradients(function, inputs);
  constexpr double kStep = 1e-5;
  for (size_t i = 0; i < inputs.size(); ++i) {
    ASSERT_TRUE(analytic[i].defined()) << "input " << i;
    for (int64_t k = 0; k < inputs[i].numel(); ++k) {
      const auto shifted = [&](double by) {
        Tensors moved;
        for (const auto& x : inputs) moved.push_back(x.detach().clone());
        moved[i].view({-1})[k] += by;
        const c10::NoGradGuard no_grad;
        return weighed(function(moved)).item<double>();
      };
      const double numeric = (shifted(kStep) - shifted(-kStep)) / (2 * kStep);
      const double actual = analytic[i].reshape({-1})[k].item<double>();
      EXPECT_NEAR(actual, numeric, 1e-7 * std::max(1.0, std::abs(numeric))) << "input " << i << " at " << k;
    }
  }
}

TEST(Autograd, AddRmsNorm) {
  at::manual_seed(1);
  const auto both = [](const AddRmsNorm& r) { return at::cat({r.residual, r.normalised}, -1); };
  expect_gradients([&](const Tensors& x) { return both(add_rms_norm(x[0], x[1], x[2], 1e-6)); },
                   {random({2, 3, 5}), random({2, 3, 5}), random({5})});
  expect_gradients([&](const Tensors& x) { return both(add_rms_norm(x[0], {}, x[1], 1e-6)); },
                   {random({4, 6}), random({6})});
  // One output alone, as the last norm of a model uses it.
  expect_gradients([&](const Tensors& x) { return add_rms_norm(x[0], x[1], x[2], 1e-6).normalised; },
                   {random({3, 4}), random({3, 4}), random({4})});
}

TEST(Autograd, Swiglu) {
  at::manual_seed(2);
  expect_gradients([](const Tensors& x) { return swiglu(x[0]); }, {random({3, 2, 8}, 2.0)});
}

TEST(Autograd, RopeHeads) {
  at::manual_seed(7);
  const int64_t tokens = 3, heads = 4, kv_heads = 2, dim = 6;
  const auto cos = random({tokens, dim}), sin = random({tokens, dim}), slots = at::arange(tokens, at::kLong);
  const auto qkv = random({tokens, (heads + 2 * kv_heads) * dim});
  expect_gradients(
      [&](const Tensors& x) {
        const auto parts = rope_heads(x[0], cos, sin, slots, heads, kv_heads);
        return at::cat({parts.q, parts.keys, parts.values});
      },
      {qkv});
  // One of them alone: nothing comes back to the others.
  expect_gradients([&](const Tensors& x) { return rope_heads(x[0], cos, sin, slots, heads, kv_heads).keys; }, {qkv});
}

TEST(Autograd, LinearCrossEntropy) {
  at::manual_seed(3);
  const auto labels = at::tensor({1, 0, 6, 6, 3}, at::kLong);
  const auto weighted = at::tensor({1.0, 0.25, 4.0, 0.5, 1.0}, at::kDouble);
  for (const auto& row_weights : {at::Tensor(), weighted}) {
    for (const int64_t chunk : {0, 1, 2, 5, 9}) {
      const auto loss = [&](const Tensors& x) {
        return linear_cross_entropy(x[0], x[1], labels, row_weights, 3.5, chunk).unsqueeze(0);
      };
      const Tensors inputs{random({5, 4}), random({7, 4})};
      expect_gradients(loss, inputs);
      const auto reference =
          linear_cross_entropy_reference(inputs[0], inputs[1], labels, row_weights, 3.5);
      EXPECT_NEAR(loss(inputs).item<double>(), reference.item<double>(), 1e-12);
    }
  }
}

TEST(Autograd, LoraLinear) {
  at::manual_seed(4);
  Linear base;
  base.weight = random({9, 6});
  base.bias = random({9});
  const auto slices = [](const Tensors& x) {
    return std::vector<LoraSlice>{{0, 4, x[1], x[2], {}, 2.0}, {6, 3, x[3], x[4], {}, 0.5}};
  };
  const Tensors inputs{random({2, 5, 6}), random({2, 6}), random({4, 2}), random({3, 6}), random({3, 3})};
  const Function fused = [&](const Tensors& x) { return lora_linear(x[0], base, slices(x)); };
  const Function composed = [&](const Tensors& x) {
    return lora_linear_reference(x[0], base, slices(x), {}, 0);
  };
  expect_gradients(fused, inputs);
  EXPECT_TRUE(at::allclose(fused(inputs), composed(inputs), 1e-12, 1e-12));
  const auto a = gradients(fused, inputs), b = gradients(composed, inputs);
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(at::allclose(a[i], b[i], 1e-12, 1e-12)) << i;
}

TEST(Autograd, LoraLinearWithoutGradientOfItsInput) {
  at::manual_seed(5);
  Linear base;
  base.weight = random({4, 3});
  const auto x = random({5, 3});
  expect_gradients(
      [&](const Tensors& p) { return lora_linear(x, base, {{0, 4, p[0], p[1], {}, 2.0}}); },
      {random({2, 3}), random({4, 2})});
}

TEST(Autograd, CheckpointedLayerGivesTheSameGradients) {
  at::manual_seed(6);
  const auto inner = random({4, 4}).set_requires_grad(true);
  const auto anchor = at::zeros({}, kDouble).set_requires_grad(true);
  const auto layer = [&](const at::Tensor& x) { return at::tanh(at::linear(x, inner)) * x; };
  const auto x = random({3, 4});
  const auto run = [&](bool keeps_nothing) {
    inner.mutable_grad() = at::Tensor();
    const auto grads = gradients(
        [&](const Tensors& in) { return keeps_nothing ? checkpointed(layer, in[0], anchor) : layer(in[0]); },
        {x});
    return std::pair(grads[0], inner.grad().clone());
  };
  const auto plain = run(false), recomputed = run(true);
  EXPECT_TRUE(at::equal(plain.first, recomputed.first));
  EXPECT_TRUE(at::equal(plain.second, recomputed.second));
}

TEST(Optimizer, EqualsThePlainFormula) {
  at::manual_seed(7);
  const AdamWOptions options{0.9, 0.999, 1e-8, 0.1, false};
  const auto matrix = at::randn({5, 3}).set_requires_grad(true), vector = at::randn({4}).set_requires_grad(true);
  auto expected_matrix = matrix.detach().clone(), expected_vector = vector.detach().clone();
  auto m1 = at::zeros_like(expected_matrix), m2 = at::zeros_like(expected_matrix);
  auto v1 = at::zeros_like(expected_vector), v2 = at::zeros_like(expected_vector);
  AdamW optimizer({{"matrix", matrix}, {"vector", vector}}, {1, 1}, options);
  for (int step = 1; step <= 5; ++step) {
    const auto g = at::randn({5, 3}), h = at::randn({4});
    matrix.mutable_grad() = g.clone();
    vector.mutable_grad() = h.clone();
    const double norm = optimizer.gradient_norm();
    EXPECT_NEAR(norm, std::sqrt((g.pow(2).sum() + h.pow(2).sum()).item<double>()), 1e-5);
    optimizer.step(0.01, norm, 1.0);
    const double factor = std::min(1.0, 1.0 / (norm + 1e-6));
    adamw_reference(expected_matrix, g * factor, m1, m2, step, 0.01, 0.1, options);
    adamw_reference(expected_vector, h * factor, v1, v2, step, 0.01, 0.0, options);
    EXPECT_FALSE(matrix.grad().defined());
  }
  // Five updates of size 0.01 in fp32: a few roundings of values of order one each.
  EXPECT_LT((matrix.detach() - expected_matrix).abs().max().item<double>(), 2e-6);
  EXPECT_LT((vector.detach() - expected_vector).abs().max().item<double>(), 2e-6);
}

TEST(Optimizer, AllParametersAtOnceAreUpdatedAsEachAlone) {
  const AdamWOptions options{0.9, 0.99, 1e-8, 0.1, false};
  const std::vector<std::vector<int64_t>> shapes{{7, 5}, {9}, {3, 4}, {2, 2}, {5}};
  for (const auto& name : test_devices()) {
    const at::Device device(name);
    at::manual_seed(8);
    ParameterList together;
    std::vector<at::Tensor> alone;
    std::vector<AdamW> optimizers;
    const std::vector<double> rates{1, 0.5, 1, 0.5, 0.25};
    for (size_t i = 0; i < shapes.size(); ++i) {
      const auto dtype = i % 2 == 0 ? at::kFloat : at::kBFloat16;
      const auto value = at::randn(shapes[i]).to(dtype);
      together.emplace_back("p" + std::to_string(i), value.to(device, dtype, false, true).set_requires_grad(true));
      alone.push_back(value.to(device, dtype, false, true).set_requires_grad(true));
      optimizers.emplace_back(ParameterList{{"own", alone[i]}}, std::vector{rates[i]}, options);
    }
    AdamW all(together, rates, options);
    for (int step = 0; step < 4; ++step) {
      std::vector<at::Tensor> norms;
      for (size_t i = 0; i < shapes.size(); ++i) {
        // The last takes part in some updates only, as a layer that a micro-batch does not reach.
        if (i == 4 && step % 2 == 1) continue;
        const auto grad = at::randn(shapes[i]).to(device, alone[i].scalar_type());
        together[i].second.mutable_grad() = grad.clone();
        alone[i].mutable_grad() = grad.clone();
        norms.push_back(at::linalg_vector_norm(grad, 2, std::nullopt, false, at::kFloat));
      }
      const double norm = all.gradient_norm();
      const double composed = at::linalg_vector_norm(at::stack(norms), 2).item<double>();
      if (device.is_cpu()) {
        EXPECT_EQ(norm, composed);
      }
      // The kernel of many tensors adds up in another order than that of one: sums of at most 35 squares.
      EXPECT_NEAR(norm, composed, 35 * 0x1p-24 * composed);
      const double most = step < 2 ? 1.0 : 0.0;
      all.step(1e-2, norm, most);
      for (auto& own : optimizers) own.step(1e-2, norm, most);
      for (size_t i = 0; i < shapes.size(); ++i) {
        EXPECT_TRUE(at::equal(together[i].second, alone[i])) << name << " parameter " << i << " step " << step;
      }
    }
    const auto state = all.state();
    std::vector<at::Tensor> own;
    for (const auto& optimizer : optimizers) {
      for (const auto& [unused, tensor] : optimizer.state()) own.push_back(tensor);
    }
    ASSERT_EQ(state.size(), own.size());
    for (size_t i = 0; i < own.size(); ++i) EXPECT_TRUE(at::equal(state[i].second, own[i])) << state[i].first;
  }
}

}  // namespace
}  // namespace facellm
