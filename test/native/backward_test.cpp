// Gradients by the ops and through autograd, on every device: of whatever strides autograd hands on, with outputs that nobody uses, and of
// logits that are no numbers. Formulas are held to finite differences in autograd_test.cpp, a CPU's levels in row_backward_test.cpp.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <limits>
#include <string>
#include <vector>

#include "backward_bounds.h"
#include "core/error.h"
#include "devices.h"
#include "kernels/rope_kv_append/rope_heads.h"

namespace facellm {
namespace {

constexpr double kEps = 1e-6, kInfinity = std::numeric_limits<double>::infinity();

at::ScalarType type_of(const at::TensorOptions& options) { return c10::typeMetaToScalarType(options.dtype()); }

template <typename Body>
void everywhere(Body body) {
  at::manual_seed(1);
  const c10::AutoGradMode grad_mode(true);
  for (const auto& device : test_devices()) {
    for (const auto type : kDtypes) {
      SCOPED_TRACE(device + " " + c10::toString(type));
      body(at::TensorOptions(type).device(device));
    }
  }
}

at::Tensor drawn(at::IntArrayRef shape, const at::TensorOptions& options) { return at::randn(shape, at::kFloat).to(options); }

at::Tensor leaf_of(const at::Tensor& x) { return x.detach().requires_grad_(true); }

using Layout = at::Tensor (*)(const at::Tensor& values);

at::Tensor whole(const at::Tensor& values) { return values; }
// As the gradient of a sum is.
at::Tensor expanded(const at::Tensor& values) { return at::full({}, 0.75, values.options()).expand(values.sizes()); }
at::Tensor transposed(const at::Tensor& values) { return values.transpose(-2, -1).contiguous().transpose(-2, -1); }
at::Tensor first_exchanged(const at::Tensor& values) { return values.transpose(0, 1).contiguous().transpose(0, 1); }
at::Tensor strided(const at::Tensor& values) { return at::cat({values, values}, -1).narrow(-1, 0, values.size(-1)); }

constexpr Layout kLayouts[] = {whole, expanded, transposed, first_exchanged, strided};

TEST(Backward, OfGates) {
  everywhere([](const at::TensorOptions& options) {
    const auto type = type_of(options);
    for (const int64_t size : {1, 17, 40, 264}) {
      const auto wide = drawn({5, 2 * size + 3}, options), values = drawn({5, size}, options);
      for (const auto& x : {wide.narrow(1, 0, 2 * size).contiguous(), wide.narrow(1, 0, 2 * size)}) {
        for (const auto layout : kLayouts) {
          const auto dy = layout(values), leaf = leaf_of(x);
          const auto [truth, allowed] = swiglu_backward_bound(x, dy, type);
          expect_within(swiglu_backward(x, dy).cpu(), truth, allowed, std::to_string(size));
          expect_within(torch::autograd::grad({swiglu(leaf)}, {leaf}, {dy})[0].cpu(), truth, allowed, "autograd's");
        }
        const auto leaf = leaf_of(x);
        swiglu(leaf).sum().backward();
        const auto [truth, allowed] = swiglu_backward_bound(x, at::ones_like(values), type);
        expect_within(leaf.grad().cpu(), truth, allowed, "a sum's");
      }
    }
  });
}

TEST(Backward, OfNorms) {
  everywhere([](const at::TensorOptions& options) {
    const auto type = type_of(options);
    for (const int64_t size : {1, 40, 507}) {
      const auto text = std::to_string(size);
      const auto x = strided(drawn({5, size}, options)), delta = drawn({5, size}, options), weight = drawn({size}, options);
      const auto of_normalised = drawn({5, size}, options), of_sum = drawn({5, size}, options);
      for (const auto layout : kLayouts) {
        const auto dy = layout(of_normalised), other = layout(of_sum);
        for (const bool has_delta : {true, false}) {
          const auto own = leaf_of(x), added = has_delta ? leaf_of(delta) : at::Tensor();
          const std::vector<at::Tensor> leaves = has_delta ? std::vector{own, added} : std::vector{own};
          // The sum is rounded before the norm reads it: truth starts from there.
          const auto outputs = add_rms_norm(own, added, weight, kEps);
          const auto sum = outputs.residual.detach();
          const auto both = norm_backward_bound(sum, weight, dy, other, kEps, type);
          const auto alone = norm_backward_bound(sum, weight, dy, {}, kEps, type);
          expect_within(add_rms_norm_backward(sum, weight, dy, other, kEps).cpu(), both.truth, both.allowed, text);
          expect_within(add_rms_norm_backward(sum, weight, dy, {}, kEps).cpu(), alone.truth, alone.allowed, text);
          for (const auto& grad : torch::autograd::grad({outputs.residual, outputs.normalised}, leaves, {other, dy}, true)) {
            expect_within(grad.cpu(), both.truth, both.allowed, text + ", both used");
          }
          for (const auto& grad : torch::autograd::grad({outputs.normalised}, leaves, {dy}, true)) {
            expect_within(grad.cpu(), alone.truth, alone.allowed, text + ", normalised used");
          }
          for (const auto& grad : torch::autograd::grad({outputs.residual}, leaves, {other})) {
            EXPECT_TRUE(at::equal(grad.cpu(), other.cpu())) << text << ", sum used";
          }
        }
      }
      // What learns is the weight, too: a sum over rows, of what has the root of a mean in it.
      const auto own = leaf_of(x), own_weight = leaf_of(weight);
      add_rms_norm(own, {}, own_weight, kEps).normalised.sum().backward();
      const auto ones = at::ones_like(delta);
      const auto [truth, allowed] = norm_backward_bound(x, weight, ones, {}, kEps, type);
      expect_within(own.grad().cpu(), truth, allowed, text + ", a sum's");
      const auto of_weight = add_rms_norm_weight_backward(truth_of(x), truth_of(ones), kEps);
      const auto terms = (truth_of(x) * at::rsqrt(truth_of(x).pow(2).mean(-1, true) + kEps)).abs().sum(0);
      const double chain = (static_cast<double>(size) / 16 + 17) * kWide;
      expect_within(own_weight.grad().cpu(), of_weight, terms * 2 * chain + of_weight.abs() * 1.01 * step_of(type), text + ", the weight's");
    }
  });
}

RopeHeads on_cpu(const RopeHeads& grads) { return {grads.q.cpu(), grads.keys.cpu(), grads.values.cpu()}; }

TEST(Backward, OfRotationsHasTheReferencesBits) {
  everywhere([](const at::TensorOptions& options) {
    const int64_t heads = 4, kv_heads = 2, tokens = 3;
    for (const int64_t dim : {2, 20, 64}) {
      const auto cos = drawn({tokens, dim}, options), sin = drawn({tokens, dim}, options);
      const auto qkv = drawn({tokens, (heads + 2 * kv_heads) * dim}, options), slots = at::arange(tokens, at::kLong).to(options.device());
      const RopeHeads values{drawn({heads, tokens, dim}, options), drawn({kv_heads, tokens, dim}, options),
                             drawn({kv_heads, tokens, dim}, options)};
      const auto reference = [&](const RopeHeads& grads) { return rope_backward_reference(on_cpu(grads), cos.cpu(), sin.cpu()); };
      for (const auto layout : kLayouts) {
        const RopeHeads grads{layout(values.q), layout(values.keys), layout(values.values)};
        const auto expected = reference(grads);
        EXPECT_TRUE(at::equal(bits(rope_backward(grads, cos, sin).cpu()), bits(expected))) << dim;
        const auto leaf = leaf_of(qkv);
        const auto out = rope_heads(leaf, cos, sin, slots, heads, kv_heads);
        const auto all = torch::autograd::grad({out.q, out.keys, out.values}, {leaf}, {grads.q, grads.keys, grads.values}, true);
        EXPECT_TRUE(at::equal(bits(all[0].cpu()), bits(expected))) << dim;
        // Nobody asks for the keys' and the values'; nobody for q's.
        const auto no_keys = at::zeros_like(values.keys), no_q = at::zeros_like(values.q);
        const auto of_q = torch::autograd::grad({out.q}, {leaf}, {grads.q}, true)[0].cpu();
        EXPECT_TRUE(at::equal(of_q, reference({grads.q, no_keys, no_keys}))) << dim;
        const auto of_values = torch::autograd::grad({out.values}, {leaf}, {grads.values})[0].cpu();
        EXPECT_TRUE(at::equal(of_values, reference({no_q, no_keys, grads.values}))) << dim;
      }
      const auto leaf = leaf_of(qkv);
      const auto out = rope_heads(leaf, cos, sin, slots, heads, kv_heads);
      (out.q.sum() + out.keys.sum() + out.values.sum()).backward();
      const RopeHeads ones{at::ones_like(values.q), at::ones_like(values.keys), at::ones_like(values.values)};
      EXPECT_TRUE(at::equal(bits(leaf.grad().cpu()), bits(reference(ones)))) << dim;
    }
  });
}

TEST(Backward, LossesAndGradientsOfLogits) {
  everywhere([](const at::TensorOptions& options) {
    // The last is the models' vocabulary.
    for (const int64_t size : {1, 5, 40, 1023, 4102, 151674}) {
      const int64_t rows = size > 10000 ? 1 : 3;
      const auto logits = (at::randn({rows, size}) * 5).to(options);
      const auto labels = at::tensor({size / 2, int64_t{0}, size - 1}).narrow(0, 0, rows).to(options.device());
      const auto scales = at::tensor({-3.0f, 0.25f, 1.0f}).narrow(0, 0, rows).to(options.device());
      const auto [losses, gradients] = cross_entropy_bound(logits, labels, scales);
      const auto own = logits.clone();
      expect_within(cross_entropy(own, labels).cpu(), losses.truth, losses.allowed, std::to_string(size));
      EXPECT_TRUE(at::equal(own.cpu(), logits.cpu())) << "nothing was asked of the logits";
      expect_within(cross_entropy_backward_(own, labels, scales).cpu(), losses.truth, losses.allowed, std::to_string(size));
      expect_within(own.cpu(), gradients.truth, gradients.allowed, std::to_string(size));
    }
  });
}

TEST(Backward, RowsOfLogitsThatAreNoNumbers) {
  everywhere([](const at::TensorOptions& options) {
    for (const int64_t size : {40, 2079}) {
      enum Row : int64_t { kFinite, kImpossible, kImpossibleLabel, kInfinite, kNone, kNothingPossible, kRows };
      const auto given = (at::randn({kRows, size}) * 5).to(type_of(options));
      for (const int64_t i : {0, 3, 38}) given[kImpossible][i] = given[kImpossibleLabel][i] = -kInfinity;
      given[kInfinite][5] = kInfinity;
      given[kNone][size - 1] = std::nan("");
      given[kNothingPossible].fill_(-kInfinity);
      const auto labels = at::tensor({1, 1, 3, 1, 1, 1}, at::kLong).to(options.device());
      const auto scales = at::tensor({0.5f, 2.0f, -1.5f, 1.0f, 1.0f, 1.0f}).to(options.device());
      const auto logits = given.clone().to(options.device());
      const auto losses = cross_entropy_backward_(logits, labels, scales).cpu(), gradients = logits.cpu();

      // A power of -60 is none beside others.
      const auto possible = at::where(at::isinf(given), at::full_like(given, -60), given).to(options.device()).narrow(0, 0, 2);
      const auto bound = cross_entropy_bound(possible.contiguous(), labels.narrow(0, 0, 2), scales.narrow(0, 0, 2));
      expect_within(losses.narrow(0, 0, 2), bound.losses.truth, bound.losses.allowed, "losses");
      expect_within(gradients.narrow(0, 0, 2), bound.gradients.truth, bound.gradients.allowed + 1e-20, "gradients");
      for (const int64_t i : {0, 3, 38}) EXPECT_EQ(gradients[kImpossible][i].item<float>(), 0) << i;

      EXPECT_EQ(losses[kImpossibleLabel].item<float>(), kInfinity);
      EXPECT_EQ(gradients[kImpossibleLabel][0].item<float>(), 0);
      EXPECT_EQ(gradients[kImpossibleLabel][3].item<float>(), 1.5f);

      EXPECT_FALSE(at::isfinite(losses[kInfinite]).item<bool>());
      EXPECT_TRUE(at::isnan(gradients[kInfinite][5]).item<bool>());
      EXPECT_TRUE(at::isnan(losses[kNone]).item<bool>());
      EXPECT_TRUE(at::isnan(gradients[kNone]).all().item<bool>());
      EXPECT_TRUE(at::isnan(losses[kNothingPossible]).item<bool>());
      EXPECT_TRUE(at::isnan(gradients[kNothingPossible]).all().item<bool>());
    }
  });
}

TEST(Backward, LabelsOutsideTheVocabulary) {
  everywhere([](const at::TensorOptions& options) {
    const auto logits = drawn({3, 40}, options), labels = at::tensor({int64_t{-1}, int64_t{7}, int64_t{40}}).to(options.device());
    const auto scales = at::ones({3}).to(options.device());
    if (options.device().is_cpu()) {
      EXPECT_THROW(cross_entropy(logits, labels), Error);
      EXPECT_THROW(cross_entropy_backward_(logits, labels, scales), Error);
      return;
    }
    for (const auto& losses : {cross_entropy(logits, labels).cpu(), cross_entropy_backward_(logits, labels, scales).cpu()}) {
      EXPECT_TRUE(at::isnan(losses[0]).item<bool>());
      EXPECT_TRUE(at::isfinite(losses[1]).item<bool>());
      EXPECT_TRUE(at::isnan(losses[2]).item<bool>());
    }
  });
}

}  // namespace
}  // namespace facellm
