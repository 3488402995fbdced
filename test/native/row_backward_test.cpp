// The gradients that kernels/cpu computes a row at a time, every level that this processor has: the same bits on each, beside the truth in
// fp64, and not a byte touched that is not theirs. Their formulas are held to finite differences in autograd_test.cpp.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "backward_bounds.h"
#include "core/error.h"
#include "kernels/rope_kv_append/rope_heads.h"

namespace facellm {
namespace {

std::string text_of(at::ScalarType type, int64_t size, const RowKernels* kernels) {
  return std::string(c10::toString(type)) + " of " + std::to_string(size) + " " + kernels->name;
}

TEST(RowBackward, OfNormsIsTheTruthWithinItsRoundings) {
  at::manual_seed(1);
  for (const auto type : kDtypes) {
    for (const int64_t size : {1, 15, 16, 40, 896, 3584}) {
      for (const bool has_other : {true, false}) {
        const int64_t rows = 3;
        const auto x = at::randn({rows, size}, type), weight = at::randn({size}, type), dy = at::randn({rows, size}, type);
        const auto other = has_other ? at::randn({rows, size}, type) : at::Tensor();
        const double eps = 1e-6;
        const auto [truth, allowed] = norm_backward_bound(x, weight, dy, other, eps, type);
        at::Tensor first;
        for (const auto* kernels : levels()) {
          const Numbers own_x(x), own_weight(weight), own_dy(dy), own_other(has_other ? other : x), out(at::full({rows, size}, 7, type));
          const NormBackwardRows job{own_x.data(), own_weight.data(), own_dy.data(), has_other ? own_other.data() : nullptr, out.data(), size,
                                     static_cast<float>(eps), type == at::kBFloat16};
          kernels->add_rms_norm_backward(&job, 0, 2);
          kernels->add_rms_norm_backward(&job, 2, rows);
          expect_within(out.tensor(), truth, allowed, text_of(type, size, kernels));
          if (!first.defined()) first = out.tensor();
          EXPECT_TRUE(at::equal(bits(out.tensor()), bits(first))) << text_of(type, size, kernels);
        }
        EXPECT_TRUE(at::equal(bits(add_rms_norm_backward(x, weight, dy, other, eps)), bits(first)));
      }
    }
  }
}

TEST(RowBackward, OfGatesIsTheTruthOfEveryNumberOfBf16) {
  // All of them but infinities, NaN, and what e^-|g| makes too small for a normal number.
  const auto all = at::arange(65536, at::kInt).to(at::kShort).view(at::kBFloat16);
  const auto gates = all.index({at::isfinite(all) & (all.abs() < 80)}).contiguous();
  for (const auto type : kDtypes) {
    const auto g = gates.to(type), ups = at::full_like(g, -1.5), dy = at::full_like(g, 0.75);
    const auto [truth, allowed] = swiglu_backward_bound(at::cat({g, ups}), dy, type);
    at::Tensor first;
    for (const auto* kernels : levels()) {
      const Numbers x(at::cat({g, ups})), of_out(dy), out(at::full({2 * g.size(0)}, 7, type));
      const GateBackwardRows job{x.data(), of_out.data(), out.data(), g.size(0), 2 * g.size(0), type == at::kBFloat16};
      kernels->swiglu_backward(&job, 0, 1);
      expect_within(out.tensor(), truth, allowed, text_of(type, g.size(0), kernels));
      if (!first.defined()) first = out.tensor();
      EXPECT_TRUE(at::equal(bits(out.tensor()), bits(first))) << text_of(type, g.size(0), kernels);
    }
  }
  // Rows that lie apart, by the op, and gates whose power is too small for any number.
  at::manual_seed(2);
  for (const int64_t size : {1, 17, 100}) {
    const auto x = at::randn({5, 2 * size + 3}, at::kFloat).narrow(1, 0, 2 * size), dy = at::randn({5, size}, at::kFloat);
    const auto truth = swiglu_backward_reference(truth_of(x), truth_of(dy));
    expect_within(swiglu_backward(x, dy), truth, truth.abs() * 20 * kWide + 1e-6, std::to_string(size));
  }
  const auto far = swiglu_backward(at::tensor({-200.0f, 200.0f, 2.0f, 3.0f}).view({1, 4}), at::ones({1, 2}));
  EXPECT_TRUE(at::equal(far, at::tensor({0.0f, 3.0f, 0.0f, 200.0f}).view({1, 4}))) << far;
}

TEST(RowBackward, OfRotationsHasTheReferencesBits) {
  at::manual_seed(3);
  for (const auto type : kDtypes) {
    for (const int64_t dim : {2, 20, 64, 128}) {
      const int64_t heads = 4, kv_heads = 2, tokens = 3;
      const auto cos = at::randn({tokens, dim}, type), sin = at::randn({tokens, dim}, type);
      // As attention hands them back: heads first, and tokens first.
      const RopeHeads grads{at::randn({heads, tokens, dim}, type), at::randn({tokens, kv_heads, dim}, type).transpose(0, 1),
                            at::randn({kv_heads, tokens, dim}, type)};
      const auto expected = rope_backward_reference(grads, cos, sin);
      for (const auto* kernels : levels()) {
        const Numbers q(grads.q), keys(grads.keys.transpose(0, 1)), values(grads.values), own_cos(cos), own_sin(sin);
        const Numbers out(at::full({tokens, (heads + 2 * kv_heads) * dim}, 7, type));
        const RopeBackwardRows job{q.data(), keys.data(), values.data(), own_cos.data(), own_sin.data(), out.data(), heads, kv_heads, dim,
                                   tokens * dim, dim, dim, kv_heads * dim, tokens * dim, dim, type == at::kBFloat16};
        kernels->rope_backward(&job, 0, 1);
        kernels->rope_backward(&job, 1, tokens);
        EXPECT_TRUE(at::equal(bits(out.tensor()), bits(expected))) << text_of(type, dim, kernels);
      }
      EXPECT_TRUE(at::equal(bits(rope_backward(grads, cos, sin)), bits(expected))) << dim;
    }
  }
}

TEST(RowBackward, CrossEntropyIsTheTruthWithinItsRoundings) {
  at::manual_seed(4);
  for (const auto type : kDtypes) {
    for (const int64_t size : {1, 5, 16, 1023, 2079, 151674}) {
      const int64_t rows = 3;
      const auto logits = (at::randn({rows, size}) * 5).to(type);
      const auto labels = at::tensor({int64_t{0}, size - 1, size / 2});
      const auto scales = at::tensor({0.25f, 1.0f, -3.0f});
      const auto bound = cross_entropy_bound(logits, labels, scales);
      const auto &[losses, allowed] = bound.losses;
      const auto &[gradients, room] = bound.gradients;
      at::Tensor first;
      for (const auto* kernels : levels()) {
        for (const bool has_scales : {false, true}) {
          const Numbers own(logits);
          std::vector<float> distances(rows), totals(rows);
          const CrossEntropyRows job{own.data(), labels.const_data_ptr<int64_t>(), has_scales ? scales.const_data_ptr<float>() : nullptr,
                                     distances.data(), totals.data(), size, type == at::kBFloat16};
          kernels->cross_entropy(&job, 0, 2);
          kernels->cross_entropy(&job, 2, rows);
          const auto actual = at::tensor(distances).to(at::kDouble) + at::tensor(totals).to(at::kDouble).log();
          expect_within(actual, losses, allowed, text_of(type, size, kernels));
          if (!has_scales) {
            EXPECT_TRUE(at::equal(bits(own.tensor()), bits(logits))) << "nothing was asked of the logits";
            continue;
          }
          expect_within(own.tensor(), gradients, room, text_of(type, size, kernels));
          if (!first.defined()) first = own.tensor();
          EXPECT_TRUE(at::equal(bits(own.tensor()), bits(first))) << text_of(type, size, kernels);
        }
      }
      const auto by_op = logits.clone();
      expect_within(cross_entropy_backward_(by_op, labels, scales), losses, allowed, std::to_string(size));
      EXPECT_TRUE(at::equal(bits(by_op), bits(first)));
      expect_within(cross_entropy(logits, labels), losses, allowed, std::to_string(size));
    }
  }
}

TEST(RowBackward, CrossEntropyOfNoNumber) {
  const auto labels = at::tensor({int64_t{0}, int64_t{1}});
  const auto logits = at::zeros({2, 40});
  logits[0][3] = std::nan("");
  logits[1][39] = std::nan("");
  EXPECT_TRUE(at::isnan(cross_entropy(logits, labels)).all().item<bool>());
  const auto never = at::full({2, 40}, -std::numeric_limits<double>::infinity(), at::kFloat);
  never.select(1, 1).fill_(2);
  const auto losses = cross_entropy(never, labels);
  EXPECT_EQ(losses[0].item<float>(), std::numeric_limits<float>::infinity());
  EXPECT_EQ(losses[1].item<float>(), 0);
}

TEST(RowBackward, WrongArgumentsAreToldAllAtOnce) {
  const auto x = at::zeros({2, 6}), labels = at::tensor({int64_t{0}, int64_t{1}});
  EXPECT_THROW(swiglu_backward(x, at::zeros({2, 6})), Error);
  EXPECT_THROW(swiglu_backward(at::zeros({2, 5}), at::zeros({2, 2})), Error);
  EXPECT_THROW(add_rms_norm_backward(x, at::zeros({5}), x, {}, 1e-6), Error);
  EXPECT_THROW(add_rms_norm_backward(x, at::zeros({6}), x, at::zeros({2, 6}, at::kBFloat16), 1e-6), Error);
  EXPECT_THROW(rope_backward({at::zeros({2, 3, 4}), at::zeros({1, 3, 4}), at::zeros({2, 3, 4})}, at::zeros({3, 4}), at::zeros({3, 4})), Error);
  EXPECT_THROW(cross_entropy(x, at::tensor({int64_t{0}, int64_t{6}})), Error);
  EXPECT_THROW(cross_entropy(x, at::tensor({int64_t{-1}, int64_t{0}})), Error);
  EXPECT_THROW(cross_entropy(x.t(), labels), Error);
  EXPECT_THROW(cross_entropy_backward_(x, labels, at::zeros({3})), Error);
  try {
    cross_entropy_backward_(x, labels.to(at::kInt), at::zeros({2}, at::kDouble));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.details().size(), 1u) << "labels; the scales are looked at where rows are known";
  }
}

}  // namespace
}  // namespace facellm
