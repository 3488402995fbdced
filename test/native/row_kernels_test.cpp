// What kernels/cpu computes a row at a time, every level that this processor has: the same bits on each, beside the truth in fp64, and not a
// byte touched that is not theirs.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/error.h"
#include "kernels/add_rms_norm/add_rms_norm.h"
#include "kernels/paged_decode_attention/paged_decode_attention.h"
#include "kernels/rope_kv_append/rope_kv_append.h"
#include "kernels/scale_add_norm/scale_add_norm.h"
#include "kernels/swiglu/swiglu.h"
#include "row_levels.h"

namespace facellm {
namespace {

TEST(RowKernels, NormsAreTheTruthWithinTheirRoundings) {
  at::manual_seed(1);
  for (const auto type : kDtypes) {
    for (const int64_t size : {1, 15, 16, 40, 896, 3584}) {
      for (const bool has_delta : {true, false}) {
        const int64_t rows = 3, stride = size + 5;
        const auto where = std::string(c10::toString(type)) + " of " + std::to_string(size);
        const auto x = at::randn({rows, stride}, type).narrow(1, 0, size), delta = at::randn({rows, size}, type);
        const auto weight = at::randn({size}, type);
        const double eps = 1e-6;
        const auto sum = has_delta ? x + delta : x;
        const auto wide = sum.to(at::kDouble);
        const auto truth = wide * at::rsqrt(wide.pow(2).mean(-1, true) + eps) * weight.to(at::kDouble);
        // Two roundings, and the sum of squares in 16 chains, whose share is halved by the root; the root and a quotient.
        const double share = 2.01 * step_of(type) + (static_cast<double>(size) / 16 + 10) * 0x1p-24;
        at::Tensor first;
        for (const auto* kernels : levels()) {
          const Numbers own_x(at::cat({x.narrow(0, 0, rows - 1).contiguous().flatten(), x[rows - 1].flatten()})), own_delta(delta), own_weight(weight);
          const Numbers own_sum(at::full({rows, size}, 7, type)), normalised(at::full({rows, size}, 7, type));
          const NormRows job{own_x.data(), has_delta ? own_delta.data() : nullptr, own_weight.data(), own_sum.data(), normalised.data(),
                             size, size, static_cast<float>(eps), type == at::kBFloat16};
          kernels->add_rms_norm(&job, 0, 2);
          kernels->add_rms_norm(&job, 2, rows);
          EXPECT_TRUE(!has_delta || at::equal(bits(own_sum.tensor()), bits(sum))) << where;
          const auto out = normalised.tensor();
          expect_within(out, truth, truth.abs() * share + 1e-40, where + " " + kernels->name);
          if (!first.defined()) first = out;
          EXPECT_TRUE(at::equal(bits(out), bits(first))) << where << " " << kernels->name;
        }
        // Rows that lie apart, by the op.
        const auto by_op = add_rms_norm(x, has_delta ? delta : at::Tensor(), weight, eps);
        EXPECT_TRUE(at::equal(bits(by_op.normalised), bits(first))) << where;
        EXPECT_TRUE(at::equal(bits(by_op.residual), bits(sum))) << where;
      }
    }
  }
}

TEST(RowKernels, LayerNormsAreTheTruthWithinTheirRoundings) {
  at::manual_seed(8);
  for (const auto type : kDtypes) {
    for (const int64_t size : {1, 15, 16, 40, 1024, 4096}) {
      for (const bool has_delta : {true, false}) {
        const int64_t rows = 3;
        const auto where = std::string(c10::toString(type)) + " of " + std::to_string(size);
        // Far from zero beside their spread: what a sum of squares less a square of the mean would lose.
        const auto x = at::randn({rows, size}, type).add_(20), delta = at::randn({rows, size}, type), scale = at::randn({size}, type);
        const auto weight = at::randn({size}, type), bias = at::randn({size}, type);
        const auto sum = has_delta ? x + delta * scale : x;
        const auto wide = sum.to(at::kDouble), centred = wide - wide.mean(-1, true);
        const auto factor = at::rsqrt(centred.pow(2).mean(-1, true) + 1e-6);
        const auto truth = centred * factor * weight.to(at::kDouble) + bias.to(at::kDouble);
        // The mean in 16 chains, of what is as large as its largest; what it is off by moves every number. Then as other norms.
        const auto moved = wide.abs().amax(-1, true) * ((static_cast<double>(size) / 16 + 10) * 0x1p-24) * factor;
        const auto magnitude = (centred.abs() + wide.abs() * 0x1p-23) * factor * weight.to(at::kDouble).abs();
        const auto allowed = truth.abs() * step_of(type) + magnitude * ((static_cast<double>(size) / 16 + 10) * 0x1p-24 + moved) +
                             moved * weight.to(at::kDouble).abs() + (truth.abs() + bias.to(at::kDouble).abs()) * 0x1p-23 + 1e-40;
        at::Tensor first;
        for (const auto* kernels : levels()) {
          const Numbers own_x(x), own_delta(delta), own_scale(scale), own_weight(weight), own_bias(bias);
          const Numbers own_sum(at::full({rows, size}, 7, type)), normalised(at::full({rows, size}, 7, type));
          const ScaleNormRows job{own_x.data(), has_delta ? own_delta.data() : nullptr, has_delta ? own_scale.data() : nullptr, own_weight.data(),
                                  own_bias.data(), own_sum.data(), normalised.data(), size, 1e-6f, type == at::kBFloat16};
          kernels->scale_add_norm(&job, 0, 2);
          kernels->scale_add_norm(&job, 2, rows);
          EXPECT_TRUE(!has_delta || at::equal(bits(own_sum.tensor()), bits(sum))) << where;
          const auto out = normalised.tensor();
          expect_within(out, truth, allowed, where + " " + kernels->name);
          if (!first.defined()) first = out;
          EXPECT_TRUE(at::equal(bits(out), bits(first))) << where << " " << kernels->name;
        }
        const c10::NoGradGuard no_grad;
        if (!has_delta) {
          EXPECT_TRUE(at::equal(bits(layer_norm(x, weight, bias, 1e-6)), bits(first))) << where;
          continue;
        }
        const auto before = x.clone(), used = delta.clone();
        const auto by_op = scale_add_norm(x, used, scale, weight, bias, 1e-6);
        EXPECT_TRUE(at::equal(bits(by_op.normalised), bits(first))) << where;
        EXPECT_TRUE(at::equal(bits(by_op.sum), bits(sum)) && by_op.sum.is_same(used) && at::equal(x, before)) << where;
        const auto plain = scale_add_norm_reference(x, delta.clone(), scale, weight, bias, 1e-6);
        EXPECT_TRUE(at::equal(bits(plain.sum), bits(sum))) << where;
        expect_within(plain.normalised, truth, allowed, where + " libtorch");
      }
    }
  }
}

TEST(RowKernels, LayerNormsThatAreLearntAndThoseOfNothing) {
  const auto x = at::randn({3, 40}), delta = at::randn({3, 40}), ones = at::ones({40}), zeros = at::zeros({40});
  const auto learnt = x.clone().requires_grad_(true);
  const auto out = scale_add_norm(learnt, delta, ones, ones, zeros, 1e-6);
  EXPECT_TRUE(out.normalised.requires_grad() && layer_norm(learnt, ones, zeros, 1e-6).requires_grad());
  const auto kept = delta.clone();
  (void)scale_add_norm(x, delta, ones, ones, zeros, 1e-6);  // gradients are on: nothing is overwritten
  EXPECT_TRUE(at::equal(delta, kept));
  const c10::NoGradGuard no_grad;
  EXPECT_EQ(scale_add_norm(at::empty({0, 40}), at::empty({0, 40}), ones, ones, zeros, 1e-6).sum.sizes(), (std::vector<int64_t>{0, 40}));
}

TEST(RowKernels, GatesAreTheTruthOfEveryNumberOfBf16) {
  // All of them but infinities and NaN; behind the gates, ups of 1.
  const auto all = at::arange(65536, at::kInt).to(at::kShort).view(at::kBFloat16);
  const auto gates = all.index({at::isfinite(all)}).contiguous();
  for (const auto type : kDtypes) {
    const auto g = gates.to(type), wide = g.to(at::kDouble);
    const auto truth = wide / (1 + at::exp(-wide));
    at::Tensor first;
    for (const auto* kernels : levels()) {
      const Numbers x(at::cat({g, at::ones_like(g)})), out(at::empty_like(g));
      const GateRows job{x.data(), out.data(), g.size(0), 2 * g.size(0), type == at::kBFloat16};
      kernels->swiglu(&job, 0, 1);
      // A power within two steps, 1 more, a quotient, a product: five of fp32; then the dtype's. Below the normal numbers a power's
      // step is 2^-149, which g multiplies.
      const auto least = wide.abs() * 0x1p-149 + (type == at::kFloat ? 0x1p-147 : 0x1p-133);
      const auto allowed = truth.abs() * (1.01 * step_of(type) + 6 * 0x1p-24) + least;
      expect_within(out.tensor(), truth, allowed, std::string(c10::toString(type)) + " " + kernels->name);
      if (!first.defined()) first = out.tensor();
      EXPECT_TRUE(at::equal(bits(out.tensor()), bits(first))) << kernels->name;
    }
  }
}

TEST(RowKernels, GatesOfRowsAndOfNoNumbers) {
  at::manual_seed(2);
  const double inf = std::numeric_limits<double>::infinity();
  for (const auto type : kDtypes) {
    const auto odd = at::tensor({inf, -inf, std::nan(""), 1.0, 2.0, 3.0}, at::kDouble).to(type).unsqueeze(0);
    const auto out = swiglu(odd);
    EXPECT_EQ(out[0][0].item<double>(), inf);
    EXPECT_TRUE(std::isnan(out[0][1].item<double>()) && std::isnan(out[0][2].item<double>()));
    for (const int64_t size : {1, 17, 100, 4864}) {
      const auto x = at::randn({5, 2 * size + 3}, type).narrow(1, 0, 2 * size);
      const auto wide = x.to(at::kDouble), gate = wide.narrow(1, 0, size), up = wide.narrow(1, size, size);
      const auto truth = gate / (1 + at::exp(-gate)) * up;
      expect_within(swiglu(x), truth, truth.abs() * (2.02 * step_of(type) + 6 * 0x1p-24) + 1e-40, std::to_string(size));
    }
  }
}

TEST(RowKernels, RotationsAreTheReferencesBits) {
  at::manual_seed(3);
  for (const auto type : kDtypes) {
    for (const int64_t dim : {2, 20, 64, 128}) {
      for (const int64_t tokens : {1, 3}) {
        const int64_t heads = 4, kv_heads = 2, slots = 9;
        const auto qkv = at::randn({tokens, (heads + 2 * kv_heads) * dim}, type);
        const auto cos = at::randn({tokens, dim}, type), sin = at::randn({tokens, dim}, type);
        const auto where = at::tensor({7, 0, 4}, at::kLong).narrow(0, 0, tokens).contiguous();
        const auto keys = at::zeros({kv_heads, slots, dim}, type), values = at::zeros_like(keys);
        const auto q = rope_kv_append_reference(qkv, cos, sin, keys, values, where, heads, kv_heads);
        for (const auto* kernels : levels()) {
          const auto text = std::string(kernels->name) + " " + c10::toString(type) + " " + std::to_string(dim);
          const Numbers own_qkv(qkv), own_cos(cos), own_sin(sin), own_q(at::empty_like(q.contiguous()));
          const Numbers own_keys(at::zeros_like(keys)), own_values(at::zeros_like(values));
          const RopeRows job{own_qkv.data(), own_cos.data(), own_sin.data(), where.const_data_ptr<int64_t>(), own_q.data(), own_keys.data(),
                             own_values.data(), tokens, heads, kv_heads, dim, slots * dim, dim, slots * dim, dim, type == at::kBFloat16};
          kernels->rope_append(&job, 0, 1);
          kernels->rope_append(&job, 1, tokens * kv_heads);
          EXPECT_TRUE(at::equal(bits(own_q.tensor()), bits(q))) << text;
          EXPECT_TRUE(at::equal(bits(own_keys.tensor()), bits(keys))) << text;
          EXPECT_TRUE(at::equal(bits(own_values.tensor()), bits(values))) << text;
        }
      }
    }
  }
}

struct Attended {
  int64_t heads, kv_heads, dim, block_size;
};

TEST(RowKernels, AttentionIsTheTruthWithinItsRoundings) {
  at::manual_seed(4);
  const std::vector<int64_t> lengths{1, 0, 15, 16, 17, 77};
  const auto count = static_cast<int64_t>(lengths.size());
  for (const auto type : kDtypes) {
    for (const auto& [heads, kv_heads, dim, block_size] : {Attended{2, 2, 8, 16}, Attended{14, 2, 64, 16}, Attended{9, 1, 128, 5}, Attended{4, 2, 20, 1}}) {
      const int64_t most_blocks = (77 + block_size - 1) / block_size, blocks = count * most_blocks;
      // Row r has blocks that stand in no line; the last block of the last row is the pool's last.
      std::vector<int32_t> table;
      for (int64_t r = 0; r < count; ++r) {
        for (int64_t b = 0; b < most_blocks; ++b) table.push_back(static_cast<int32_t>(b * count + r));
      }
      const auto keys = at::randn({kv_heads, blocks * block_size, dim}, type), values = at::randn_like(keys);
      const auto q = at::randn({heads, count, dim}, type) * 2;
      const DecodeRows rows{at::tensor(table, at::kInt).view({count, most_blocks}), at::tensor(lengths, at::kLong), block_size, 1};
      at::Tensor first;
      for (const auto* kernels : levels()) {
        const auto where = std::string(kernels->name) + " " + c10::toString(type) + " " + std::to_string(dim);
        const Numbers own_q(q), own_keys(keys), own_values(values), out(at::full({count, heads * dim}, 7, type));
        const DecodeAttention job{own_q.data(), own_keys.data(), own_values.data(), out.data(), rows.block_table.const_data_ptr<int32_t>(),
                                  rows.lengths.const_data_ptr<int64_t>(), block_size, most_blocks, heads, kv_heads, dim, count * dim, dim,
                                  keys.stride(0), dim, keys.stride(0), dim, static_cast<float>(1 / std::sqrt(static_cast<double>(dim))),
                                  type == at::kBFloat16};
        const Guarded work((kernels->attend_bytes(&job, 77) + 1) / 2);
        kernels->attend(&job, work.data(), 0, 3);
        kernels->attend(&job, work.data(), 3, count * kv_heads);
        const auto actual = out.tensor();
        if (!first.defined()) first = actual;
        EXPECT_TRUE(at::equal(bits(actual), bits(first))) << where;
      }
      EXPECT_TRUE(at::equal(bits(paged_decode_attention(q, keys, values, rows)), bits(first)));
      for (int64_t r = 0; r < count; ++r) {
        if (lengths[r] == 0) {
          EXPECT_EQ(first[r].abs().max().item<double>(), 0);
          continue;
        }
        std::vector<int64_t> slots;
        for (int64_t t = 0; t < lengths[r]; ++t) slots.push_back(table[r * most_blocks + t / block_size] * block_size + t % block_size);
        const auto at_slots = at::tensor(slots, at::kLong);
        for (int64_t h = 0; h < heads; ++h) {
          const int64_t kv = h / (heads / kv_heads);
          const auto own_q = q[h][r].to(at::kDouble), k = keys[kv].index_select(0, at_slots).to(at::kDouble);
          const auto v = values[kv].index_select(0, at_slots).to(at::kDouble);
          const double scale = 1 / std::sqrt(static_cast<double>(dim));
          const auto p = at::softmax(at::mv(k, own_q) * scale, 0);
          // A score has D products and a scale, each within a step of the sum of magnitudes, and moves its weight by as much of
          // itself, against the largest, too; the power two steps; sums of S weights and of as many products; a quotient.
          const double score = at::mv(k.abs(), own_q.abs()).max().item<double>() * scale;
          const double share = (2 * score * static_cast<double>(dim + 3) + 2 * static_cast<double>(lengths[r]) + 8) * 0x1p-24;
          const auto truth = at::mv(v.t(), p), magnitude = at::mv(v.abs().t(), p);
          expect_within(first[r].narrow(0, h * dim, dim), truth, truth.abs() * step_of(type) * 1.01 + magnitude * share,
                        "row " + std::to_string(r) + " head " + std::to_string(h));
        }
      }
    }
  }
}

TEST(RowKernels, ABlockThatThePoolHasNotIsRefused) {
  const auto pool = at::zeros({1, 32, 8}), q = at::zeros({1, 1, 8});
  const auto attend = [&](int32_t block, int64_t length) {
    return paged_decode_attention(q, pool, pool, {at::tensor({block}, at::kInt).view({1, 1}), at::tensor({length}, at::kLong), 16, 1});
  };
  EXPECT_NO_THROW(attend(1, 16));
  EXPECT_THROW(attend(2, 1), Error);
  EXPECT_THROW(attend(-1, 1), Error);
  EXPECT_THROW(attend(0, 17), Error);
  EXPECT_THROW(attend(0, -1), Error);
}

}  // namespace
}  // namespace facellm
