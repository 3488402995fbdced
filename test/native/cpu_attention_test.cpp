// Attention of kernels/cpu, every level that this processor has: beside the truth in fp64, a row's bits whatever surrounds it, and not
// a byte touched that is not theirs.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/cpu_level.h"
#include "core/error.h"
#include "guarded.h"
#include "kernels/cpu/cpu_attention.h"
#include "kernels/cpu/isa.h"
#include "layers/attention.h"

namespace facellm {
namespace {

std::vector<const AttentionKernels*> levels() {
  std::vector<const AttentionKernels*> found{&kScalarAttention};
#if defined(__x86_64__)
  if (detect_cpu().level >= CpuLevel::kAvx2) found.push_back(&kAvx2Attention);
  if (detect_cpu().has_avx512_bf16) found.push_back(&kAvx512Attention);
#endif
  return found;
}

at::Tensor bits(const at::Tensor& x) { return x.contiguous().view(at::kShort); }

// q [M, D], k and v [S, D] as they lie in a tower: side by side. Rows [begin, end) of the result.
at::Tensor attend(const AttentionKernels& kernels, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t begin,
                  int64_t end, bool is_causal = false, at::Tensor* log_sums = nullptr) {
  const int64_t queries = q.size(0), keys = k.size(0), dim = q.size(1);
  const Guarded own_q(q), keys_and_values(at::cat({k, v}, 1)), out(queries * dim);
  if (log_sums != nullptr) *log_sums = at::full({queries}, -7.0F);
  const Guarded packed(kernels.packed_bytes(keys, dim) / 2), work((kernels.work_bytes(keys, dim) + 1) / 2);
  std::memset(out.data(), 0, static_cast<size_t>(queries * dim) * sizeof(Bf16));
  const CpuAttention head{own_q.data(), keys_and_values.data(), keys_and_values.data() + dim, dim, 2 * dim, 2 * dim, queries, keys, dim,
                          is_causal,
                          static_cast<float>(1 / std::sqrt(static_cast<double>(dim))), out.data(), dim,
                          log_sums == nullptr ? nullptr : log_sums->mutable_data_ptr<float>()};
  kernels.pack(packed.data(), &head);
  kernels.attend(&head, packed.data(), work.data(), begin, end);
  return out.tensor({queries, dim});
}

// The output's rounding, 2^-9 of it (2^-8 with room for ties), that of every p, the same of what they weigh together, and
// sums in fp32: of a score D products, which move every p by as much of itself, of p and of values S. 2.6e-6: the power of two.
void expect_attention(const at::Tensor& actual, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const std::string& where,
                      bool is_causal = false) {
  const auto wide_q = q.to(at::kDouble), wide_k = k.to(at::kDouble), wide_v = v.to(at::kDouble);
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(1)));
  auto exact = at::mm(wide_q, wide_k.t()) * scale;
  if (is_causal) exact = exact.masked_fill(causal_mask(q.size(0), k.size(0), at::kCPU).logical_not(), -std::numeric_limits<double>::infinity());
  const auto p = at::softmax(exact, -1);
  const auto truth = at::mm(p, wide_v), magnitude = at::mm(p, wide_v.abs());
  const auto scores = std::get<0>(at::mm(wide_q.abs(), wide_k.abs().t()).max(1, true)) * scale;
  const auto relative = scores * (2 * static_cast<double>(q.size(1) + 4) * 0x1p-23) + (2 * static_cast<double>(k.size(0)) * 0x1p-23 + 6e-6);
  const auto allowed = truth.abs() * 0x1p-8 + magnitude * (relative + 0x1p-8);
  const auto error = (actual.to(at::kDouble) - truth).abs();
  EXPECT_TRUE((error <= allowed).all().item<bool>()) << where << " worst " << (error / allowed).max().item<double>() << " of the bound";
}

// Of causal rows. A score is a sum of D products (as above); the sum of S exponentials, each 2.6e-6 off, and its logarithm, 2^-22 of what it is.
void expect_log_sums(const at::Tensor& actual, const at::Tensor& q, const at::Tensor& k, const std::string& where) {
  const auto wide_q = q.to(at::kDouble), wide_k = k.to(at::kDouble);
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(1)));
  const auto hidden = causal_mask(q.size(0), k.size(0), at::kCPU).logical_not();
  const auto scores = (at::mm(wide_q, wide_k.t()) * scale).masked_fill(hidden, -std::numeric_limits<double>::infinity());
  const auto largest = std::get<0>(at::mm(wide_q.abs(), wide_k.abs().t()).max(1)) * scale;
  const auto truth = scores.logsumexp(1);
  const auto allowed = largest * (2 * static_cast<double>(q.size(1) + 4) * 0x1p-23) + (static_cast<double>(k.size(0)) * 0x1p-23 + 6e-6) + truth.abs() * 0x1p-22;
  const auto error = (actual.to(at::kDouble) - truth).abs();
  EXPECT_TRUE((error <= allowed).all().item<bool>()) << where << " log-sums " << (error / allowed).max().item<double>() << " of the bound";
}

TEST(CpuAttention, IsTheTruthWithinItsRoundingsAndRowsKnowNothingOfEachOther) {
  at::manual_seed(1);
  for (const int64_t dim : {32, 64, 128}) {
    for (const int64_t keys : {1, 2, 31, 32, 33, 64, 100, 257, 1025}) {
      const int64_t queries = keys == 1025 ? 61 : 27;
      const auto q = at::randn({queries, dim}).mul_(3).to(at::kBFloat16), k = at::randn({keys, dim}, at::kBFloat16);
      const auto v = at::randn({keys, dim}, at::kBFloat16);
      for (const auto* kernels : levels()) {
        const auto where = std::string(kernels->name) + " D " + std::to_string(dim) + " keys " + std::to_string(keys);
        const auto all = attend(*kernels, q, k, v, 0, queries);
        expect_attention(all, q, k, v, where);
        for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 1}, {5, 6}, {3, 17}, {queries - 1, queries}}) {
          const auto part = attend(*kernels, q, k, v, begin, end);
          EXPECT_TRUE(at::equal(bits(part.narrow(0, begin, end - begin)), bits(all.narrow(0, begin, end - begin)))) << where << " rows " << begin;
          EXPECT_EQ(part.narrow(0, 0, begin).count_nonzero().item<int64_t>(), 0) << where;
        }
      }
    }
  }
}

// A prompt, and a chunk behind what came before: of all its rows and of some, beside the truth and beside the same with every key
// that a row does not see left out.
TEST(CpuAttention, CausalRowsKnowNothingOfWhatFollows) {
  at::manual_seed(6);
  for (const int64_t dim : {32, 64, 128}) {
    for (const auto& [queries, keys] : {std::pair<int64_t, int64_t>{1, 1}, {1, 70}, {2, 2}, {13, 13}, {25, 40}, {33, 33}, {64, 64}, {50, 301}, {316, 316}}) {
      const auto q = at::randn({queries, dim}).mul_(3).to(at::kBFloat16), k = at::randn({keys, dim}, at::kBFloat16);
      const auto v = at::randn({keys, dim}, at::kBFloat16);
      for (const auto* kernels : levels()) {
        const auto where = std::string(kernels->name) + " D " + std::to_string(dim) + " of " + std::to_string(queries) + "/" + std::to_string(keys);
        at::Tensor log_sums, some;
        const auto all = attend(*kernels, q, k, v, 0, queries, true, &log_sums);
        expect_attention(all, q, k, v, where, true);
        expect_log_sums(log_sums, q, k, where);
        attend(*kernels, q, k, v, queries / 2, queries, true, &some);
        EXPECT_TRUE(at::equal(some.narrow(0, queries / 2, queries - queries / 2), log_sums.narrow(0, queries / 2, queries - queries / 2))) << where;
        EXPECT_TRUE((some.narrow(0, 0, queries / 2) == -7).all().item<bool>()) << where;
        for (int64_t m = 0; m < queries; m += 1 + queries / 5) {
          const int64_t seen = keys - queries + m + 1;
          const auto alone = attend(*kernels, q.narrow(0, m, 1), k.narrow(0, 0, seen), v.narrow(0, 0, seen), 0, 1);
          EXPECT_TRUE(at::equal(bits(alone[0]), bits(all[m]))) << where << " row " << m;
          const auto part = attend(*kernels, q, k, v, m, queries, true);
          EXPECT_TRUE(at::equal(bits(part.narrow(0, m, queries - m)), bits(all.narrow(0, m, queries - m)))) << where << " from " << m;
        }
      }
    }
  }
}

// As a prompt's chunk lies in the pool: grouped heads, keys of a longer row, strides of a pool.
TEST(CpuAttention, ChunksOfGroupedHeadsByAnyNumberOfThreads) {
  if (attention_kernels() == nullptr) GTEST_SKIP() << "a processor without attention kernels of its own";
  at::manual_seed(7);
  constexpr int64_t kHeads = 14, kKvHeads = 2, kCount = 75, kKeys = 131, kSlots = 200, kFirst = 16, kDim = 64;
  const auto q = at::randn({1, kHeads, kCount, kDim}, at::kBFloat16);
  const auto pool = at::randn({2, kKvHeads, kSlots, kDim}, at::kBFloat16);
  const auto k = pool[0].narrow(1, kFirst, kKeys).unsqueeze(0), v = pool[1].narrow(1, kFirst, kKeys).unsqueeze(0);
  ASSERT_TRUE(takes_cpu_attention(q, k, v, /*is_causal=*/true));
  const int threads = at::get_num_threads();
  std::vector<at::Tensor> results;
  for (const int count : {1, 2, 3}) {
    at::set_num_threads(count);
    results.push_back(attention(q, k, v, at::Tensor(), /*is_causal=*/true));
  }
  at::set_num_threads(threads);
  ASSERT_EQ(results[0].sizes(), (at::IntArrayRef{1, kCount, kHeads * kDim}));
  for (size_t i = 1; i < results.size(); ++i) EXPECT_TRUE(at::equal(bits(results[i]), bits(results[0]))) << i;
  for (int64_t h = 0; h < kHeads; ++h) {
    const int64_t kv = h / (kHeads / kKvHeads);
    expect_attention(results[0][0].narrow(1, h * kDim, kDim), q[0][h], k[0][kv], v[0][kv], "head " + std::to_string(h), true);
  }
  // libtorch's, which takes what has no kernels, with the mask made there: the same in fp32 as in fp64.
  const auto by_libtorch = [&](at::ScalarType type) { return attention(q.to(type), k.to(type), v.to(type), at::Tensor(), /*is_causal=*/true); };
  EXPECT_TRUE(at::allclose(by_libtorch(at::kFloat).to(at::kDouble), by_libtorch(at::kDouble), 1e-4, 1e-5));
}

// Of a sample that is learnt from and of a tower, parts of one qkv: the same bits with gradients and without, and gradients by norms within
// their roundings of those of fp64: of the result that they start from, of p, of p's gradient and of what is handed out, 2^-9 each.
TEST(CpuAttention, GradientsStartFromItsLogSums) {
  if (attention_kernels() == nullptr) GTEST_SKIP() << "a processor without attention kernels of its own";
  at::manual_seed(8);
  for (const bool is_causal : {true, false}) {
    constexpr int64_t kHeads = 4, kLength = 83, kDim = 64;
    const int64_t kv_heads = is_causal ? 2 : kHeads;
    const auto qkv = at::randn({1, kLength, kHeads + 2 * kv_heads, kDim}, at::kBFloat16);
    auto leaf = qkv.clone().set_requires_grad(true), wide_leaf = qkv.to(at::kDouble).set_requires_grad(true);
    const auto own = leaf.transpose(1, 2).split_with_sizes({kHeads, kv_heads, kv_heads}, 1);
    const auto wide = wide_leaf.transpose(1, 2).split_with_sizes({kHeads, kv_heads, kv_heads}, 1);
    ASSERT_TRUE(takes_cpu_attention(own[0], own[1], own[2], is_causal));
    const auto out = attention(own[0], own[1], own[2], at::Tensor(), is_causal);
    {
      const c10::NoGradGuard plain;
      EXPECT_TRUE(at::equal(bits(out), bits(attention(own[0], own[1], own[2], at::Tensor(), is_causal))));
    }
    auto scores = at::matmul(wide[0], wide[1].repeat_interleave(kHeads / kv_heads, 1).transpose(-2, -1)) / std::sqrt(static_cast<double>(kDim));
    if (is_causal) scores = scores.masked_fill(causal_mask(kLength, kLength, at::kCPU).logical_not(), -std::numeric_limits<double>::infinity());
    const auto truth = at::matmul(scores.softmax(-1), wide[2].repeat_interleave(kHeads / kv_heads, 1)).transpose(1, 2).flatten(2);
    const auto grad = at::randn_like(out);
    out.backward(grad);
    truth.backward(grad.to(at::kDouble));
    ASSERT_EQ(leaf.grad().scalar_type(), at::kBFloat16);
    const auto parts = leaf.grad().to(at::kDouble).split_with_sizes({kHeads, kv_heads, kv_heads}, 2);
    const auto truths = wide_leaf.grad().split_with_sizes({kHeads, kv_heads, kv_heads}, 2);
    for (size_t i = 0; i < parts.size(); ++i) {
      EXPECT_LT((parts[i] - truths[i]).norm().item<double>() / truths[i].norm().item<double>(), 4 * 0x1p-9) << is_causal << " " << i;
    }
  }
}

// Scores of +-500: only the largest counts, and nothing overflows.
TEST(CpuAttention, LargeScoresAndOneKeyThatTakesAll) {
  at::manual_seed(2);
  const auto q = at::full({13, 64}, 8.0, at::kBFloat16), v = at::randn({40, 64}, at::kBFloat16);
  auto k = at::full({40, 64}, -8.0, at::kBFloat16);
  k.select(0, 37).fill_(8.0);
  for (const auto* kernels : levels()) {
    const auto out = attend(*kernels, q, k, v, 0, 13);
    EXPECT_TRUE(at::equal(out, v.select(0, 37).expand({13, 64}))) << kernels->name;
  }
}

TEST(CpuAttention, NanReachesItsOwnRowOrAllThatAttendToIt) {
  at::manual_seed(3);
  const auto q = at::randn({20, 64}, at::kBFloat16), k = at::randn({50, 64}, at::kBFloat16), v = at::randn({50, 64}, at::kBFloat16);
  for (const auto* kernels : levels()) {
    const auto clean = attend(*kernels, q, k, v, 0, 20);
    auto damaged = q.clone();
    damaged[7][3] = std::numeric_limits<float>::quiet_NaN();
    const auto out = attend(*kernels, damaged, k, v, 0, 20);
    EXPECT_TRUE(out.select(0, 7).isnan().all().item<bool>()) << kernels->name;
    EXPECT_TRUE(at::equal(bits(out.narrow(0, 8, 12)), bits(clean.narrow(0, 8, 12)))) << kernels->name;
    auto bad_key = k.clone();
    bad_key[49][0] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_TRUE(attend(*kernels, q, bad_key, v, 0, 20).isnan().all().item<bool>()) << kernels->name;
    auto bad_value = v.clone();
    bad_value[0][5] = std::numeric_limits<float>::infinity();
    EXPECT_TRUE(attend(*kernels, q, k, bad_value, 0, 20).select(1, 5).isinf().all().item<bool>()) << kernels->name;
    // A key that only the last causal row sees.
    const auto causal = attend(*kernels, q, k, v, 0, 20, true);
    const auto damaged_last = attend(*kernels, q, bad_key, v, 0, 20, true);
    EXPECT_TRUE(damaged_last[19].isnan().all().item<bool>()) << kernels->name;
    EXPECT_TRUE(at::equal(bits(damaged_last.narrow(0, 0, 19)), bits(causal.narrow(0, 0, 19)))) << kernels->name;
  }
}

// Lengths of towers, and beyond what a unit keeps of scores at once. Of the long ones not every query: rows know nothing of each other.
TEST(CpuAttention, LengthsOfATowerAndBeyondAreWithinTheirRoundings) {
  at::manual_seed(5);
  for (const int64_t dim : {32, 64, 128}) {
    for (const int64_t keys : {64, 65, 257, 1025, 1057, 1500, 3000}) {
      const int64_t queries = keys < 300 ? keys : 50;
      const auto q = at::randn({queries, dim}).mul_(2).to(at::kBFloat16), k = at::randn({keys, dim}, at::kBFloat16);
      const auto v = at::randn({keys, dim}, at::kBFloat16);
      for (const auto* kernels : levels()) {
        const auto where = std::string(kernels->name) + " D " + std::to_string(dim) + " keys " + std::to_string(keys);
        const auto out = attend(*kernels, q, k, v, 0, queries);
        expect_attention(out, q, k, v, where);
        // The piece that cpu_attention() ends with.
        const int64_t begin = queries / 2 + 1;
        const auto part = attend(*kernels, q, k, v, begin, queries);
        EXPECT_TRUE(at::equal(bits(part.narrow(0, begin, queries - begin)), bits(out.narrow(0, begin, queries - begin)))) << where;
      }
    }
  }
}

TEST(CpuAttention, TilesOfATowerByAnyNumberOfThreads) {
  if (attention_kernels() == nullptr) GTEST_SKIP() << "a processor without attention kernels of its own";
  at::manual_seed(4);
  constexpr int64_t kTiles = 2, kHeads = 3, kLength = 101, kDim = 64;
  const auto qkv = at::randn({kTiles, kLength, 3, kHeads, kDim}, at::kBFloat16);
  const auto part = [&](int64_t i) { return qkv.select(2, i).transpose(1, 2); };
  ASSERT_TRUE(takes_cpu_attention(part(0), part(1), part(2), /*is_causal=*/false));
  const int threads = at::get_num_threads();
  std::vector<at::Tensor> results;
  for (const int count : {1, 2, 3}) {
    at::set_num_threads(count);
    results.push_back(cpu_attention(part(0), part(1), part(2), /*is_causal=*/false));
  }
  at::set_num_threads(threads);
  ASSERT_EQ(results[0].sizes(), (at::IntArrayRef{kTiles, kLength, kHeads * kDim}));
  for (size_t i = 1; i < results.size(); ++i) EXPECT_TRUE(at::equal(bits(results[i]), bits(results[0]))) << i;
  for (int64_t n = 0; n < kTiles; ++n) {
    for (int64_t h = 0; h < kHeads; ++h) {
      const auto own = results[0][n].narrow(1, h * kDim, kDim);
      expect_attention(own, part(0)[n][h], part(1)[n][h], part(2)[n][h], "tile " + std::to_string(n) + " head " + std::to_string(h));
    }
  }
}

TEST(CpuAttention, IsTakenWhereItWasMeasured) {
  EXPECT_EQ(attention_kernels_for({CpuLevel::kScalar, false}), nullptr);
#if defined(__x86_64__)
  EXPECT_EQ(attention_kernels_for({CpuLevel::kAvx2, false}), &kAvx2Attention);
  EXPECT_EQ(attention_kernels_for({CpuLevel::kAvx512, false}), nullptr);
  EXPECT_EQ(attention_kernels_for({CpuLevel::kAvx512, true}), &kAvx512Attention);
  EXPECT_EQ(attention_kernels_for({CpuLevel::kAmx, true}), nullptr);
#endif
  const auto x = at::zeros({1, 2, 64, 64}, at::kBFloat16), one = x.narrow(1, 0, 1);
  const bool has_kernels = attention_kernels() != nullptr;
  EXPECT_EQ(takes_cpu_attention(x, x, x, false), has_kernels);
  EXPECT_EQ(takes_cpu_attention(x.narrow(2, 0, 2), one, one, true), has_kernels);
  EXPECT_FALSE(takes_cpu_attention(x.to(at::kFloat), x.to(at::kFloat), x.to(at::kFloat), false));
  EXPECT_FALSE(takes_cpu_attention(x.narrow(2, 0, 63), x, x, false));  // few queries
  EXPECT_FALSE(takes_cpu_attention(x.narrow(2, 0, 1), one, one, true));
  EXPECT_THROW(cpu_attention(x, x.narrow(2, 0, 63), x.narrow(2, 0, 63), true), Error);  // queries of tokens that there are not
  EXPECT_THROW(cpu_attention(x.to(at::kFloat), x, x, true), Error);
  EXPECT_FALSE(takes_cpu_attention(x, one, one, false));  // grouped
  EXPECT_FALSE(takes_cpu_attention(x.narrow(3, 0, 16), x.narrow(3, 0, 16), x.narrow(3, 0, 16), false));
}

}  // namespace
}  // namespace facellm
