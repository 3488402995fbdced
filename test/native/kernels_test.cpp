// Each fused op: its plain version against fp64 truth, the dispatcher's refusals, and, where a GPU is,
// the CUDA kernel by the three-way rule (the error of each element may not exceed the plain version's there by more
// than a rounding). Shapes of all models and ones that defeat alignment, strided caches, outliers.
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "kernels/add_rms_norm/add_rms_norm.h"
#include "kernels/add_rms_norm/add_rms_norm_cuda.h"
#include "kernels/common/checks.h"
#include "kernels/common/rows.h"
#include "kernels/paged_decode_attention/paged_decode_attention.h"
#include "kernels/product/few_rows.h"
#include "kernels/product/product.h"
#include "kernels/rope_kv_append/rope_kv_append.h"
#include "kernels/scale_add_norm/scale_add_norm.h"
#include "kernels/swiglu/swiglu.h"
#include "devices.h"

namespace facellm {
namespace {

bool has_gpu() { return at::hasCUDA(); }

// Half a step of the dtype, relative: one rounding to nearest is off by this much of the value at most.
double rounding(at::ScalarType dtype) { return dtype == at::kBFloat16 ? 0x1p-8 : 0x1p-24; }

// What an element may be off by: `steps` roundings of its own value, and of a sum of `terms` numbers in fp32 a share of
// `scale`, the magnitude of what was added up. Each element for itself: an outlier excuses nothing but itself.
at::Tensor bound(const at::Tensor& truth, at::ScalarType dtype, double steps, const at::Tensor& scale, double terms) {
  return truth.abs() * (steps * rounding(dtype)) + scale.abs() * (terms * 0x1p-24) + 1e-30;
}

void expect_within(const at::Tensor& actual, const at::Tensor& truth, const at::Tensor& allowed, const char* what) {
  const auto error = (actual.cpu().to(at::kDouble) - truth).abs();
  const auto share = (error / allowed).max();
  EXPECT_LE(share.item<double>(), 1.0) << what << " " << truth.sizes() << ", of the bound";
  EXPECT_FALSE(actual.isnan().any().item<bool>()) << what;
}

// The three-way rule: the fast version keeps the plain version's bound, element by element, and over all elements its
// error is the plain version's own. Both round the same values; only sums in another order move a few of them across
// the middle between two numbers, for which a quarter, and a sixteenth of the bound where the plain one is exact, are
// ample.
void expect_as_good(const at::Tensor& fast, const at::Tensor& plain, const at::Tensor& truth, const at::Tensor& allowed,
                    const char* what) {
  expect_within(fast, truth, allowed, what);
  const auto spread = [&](const at::Tensor& x) {
    return ((x.cpu().to(at::kDouble) - truth) / allowed).pow(2).mean().sqrt().item<double>();
  };
  EXPECT_LE(spread(fast), 1.25 * spread(plain) + 1.0 / 16) << what << " " << truth.sizes();
}

// Hidden states as models have them: most of order one, a channel a hundred times as large.
at::Tensor noise(at::IntArrayRef shape, at::ScalarType dtype) {
  auto x = at::randn(shape, at::kDouble);
  if (x.numel() > 100) x.view(-1)[17] = 300.0;
  return x.to(dtype);
}

constexpr std::array kDtypes{at::kFloat, at::kBFloat16};
// Of the 1B (896; 4864 wide), 8B (3584; 18944) and 38B (5120; 27648), the towers (1024, 3200), and odd ones.
constexpr std::array<int64_t, 8> kHidden{896, 3584, 5120, 1024, 3200, 507, 64, 1};
constexpr std::array<int64_t, 5> kIntermediate{4864, 18944, 27648, 123, 1};

TEST(AddRmsNorm, PlainAndCuda) {
  at::manual_seed(1);
  for (const auto dtype : kDtypes) {
    for (const int64_t size : kHidden) {
      const auto residual = noise({3, 5, size}, dtype), delta = noise({3, 5, size}, dtype);
      const auto weight = noise({size}, dtype);
      // The sum is rounded before the norm reads it: truth starts from there.
      const auto sum = residual + delta;
      const auto x = sum.to(at::kDouble);
      const auto truth =
          x * at::rsqrt(x.pow(2).mean(-1, true) + 1e-6) * weight.to(at::kDouble);
      const auto plain = add_rms_norm(residual, delta, weight, 1e-6);
      EXPECT_TRUE(at::equal(plain.residual, sum));
      // Two roundings (of the normalised value, of the product); the mean of squares is relative to itself: its terms
      // have one sign, and half of its error reaches the root.
      const auto allowed = bound(truth, dtype, 2.01, truth, static_cast<double>(size) / 2 + 8);
      expect_within(plain.normalised, truth, allowed, "add_rms_norm");
      EXPECT_TRUE(at::equal(add_rms_norm(sum, {}, weight, 1e-6).normalised, plain.normalised));
      if (!has_gpu()) continue;
      const auto fused = add_rms_norm(residual.cuda(), delta.cuda(), weight.cuda(), 1e-6);
      EXPECT_TRUE(at::equal(fused.residual.cpu(), sum));
      expect_as_good(fused.normalised, plain.normalised, truth, allowed, "add_rms_norm on the GPU");
    }
  }
  if (!has_gpu()) GTEST_SKIP() << "CUDA part: no GPU in this build or machine; the CPU part passed";
}

// One row beside the limit on each side: 48 KB hold a row and what the sum over the block takes.
TEST(AddRmsNorm, LongestRowOfTheFusedKernelFitsSharedMemory) {
  constexpr int64_t kBytes = 48 * 1024;
  EXPECT_GE(cuda::kBlockSumBytes, 33 * 4);
  EXPECT_LE(kLargestFusedNormRow * 4 + cuda::kBlockSumBytes, kBytes);
  EXPECT_GT((kLargestFusedNormRow + 1) * 4 + cuda::kBlockSumBytes, kBytes);
  EXPECT_GE(kLargestFusedNormRow, 8192);  // InternVL3-78B
  EXPECT_LT(kLargestFusedNormRow, 12256);  // from here on to 12,288 launches failed
  if (!has_gpu()) GTEST_SKIP() << "CUDA part: no GPU in this build or machine; the CPU part passed";
  for (const int64_t size : {kLargestFusedNormRow, kLargestFusedNormRow + 1, int64_t{12256}, int64_t{12289}}) {
    const auto x = at::randn({2, size}), weight = at::randn({size});
    const auto plain = add_rms_norm(x, {}, weight, 1e-6).normalised;
    EXPECT_TRUE(at::allclose(add_rms_norm(x.cuda(), {}, weight.cuda(), 1e-6).normalised.cpu(), plain, 1e-5, 1e-6));
  }
}

// What the norm reads without a copy: slices of a fused product, such as the 6B tower's q and k.
TEST(AddRmsNorm, RowsThatOneStrideReaches) {
  const auto qkv = at::zeros({2, 5, 12});
  EXPECT_EQ(row_stride(qkv), 12);
  EXPECT_EQ(row_stride(qkv.split(4, -1)[1]), 12);
  EXPECT_EQ(row_stride(qkv.narrow(0, 1, 1).narrow(2, 8, 4)), 12);
  EXPECT_EQ(row_stride(qkv[0][0]), 12);  // one row: its size
  EXPECT_EQ(row_stride(at::zeros({4}).expand({3, 4})), 0);
  EXPECT_EQ(row_stride(at::zeros({0, 4})), 4);
  EXPECT_EQ(row_stride(qkv.narrow(1, 0, 4)), std::nullopt);  // a gap behind each four rows
  EXPECT_EQ(row_stride(qkv.transpose(0, 1)), std::nullopt);
  EXPECT_EQ(row_stride(qkv.transpose(1, 2)), std::nullopt);
  EXPECT_EQ(row_stride(at::zeros({})), std::nullopt);
}

TEST(SwiGlu, PlainAndCuda) {
  at::manual_seed(2);
  for (const auto dtype : kDtypes) {
    for (const int64_t size : kIntermediate) {
      const auto gate_up = noise({2, 7, 2 * size}, dtype);
      const auto halves = gate_up.to(at::kDouble).chunk(2, -1);
      const auto truth = halves[0] * at::sigmoid(halves[0]) * halves[1];
      const auto plain = swiglu(gate_up);
      // Two roundings; in fp32 an exponential of up to 4 units (CUDA's expf is within 2) and a division besides.
      const auto allowed = bound(truth, dtype, 2.01, truth, 8);
      expect_within(plain, truth, allowed, "swiglu");
      if (has_gpu()) expect_as_good(swiglu(gate_up.cuda()), plain, truth, allowed, "swiglu on the GPU");
    }
  }
  if (!has_gpu()) GTEST_SKIP() << "CUDA part: no GPU in this build or machine; the CPU part passed";
}

TEST(RopeKvAppend, PlainAndCuda) {
  at::manual_seed(3);
  for (const auto dtype : kDtypes) {
    // Heads of the 1B, 8B and 38B; as many keys as queries; an odd size. Slots in line, or where blocks lie.
    for (const auto& [heads, kv_heads, head_dim, is_in_line] : {std::array<int64_t, 4>{14, 2, 64, 1}, {28, 4, 128, 0},
                                                                {40, 8, 128, 1}, {4, 4, 128, 0}, {6, 3, 18, 0}}) {
      const int64_t tokens = 6, capacity = 32;
      const auto qkv = noise({tokens, (heads + 2 * kv_heads) * head_dim}, dtype);
      const auto angles = at::randn({tokens, head_dim / 2}, at::kDouble);
      const auto both = at::cat({angles, angles}, -1);
      const auto cos = both.cos().to(dtype), sin = both.sin().to(dtype);
      const auto slots = is_in_line != 0 ? at::arange(3, 3 + tokens, at::kLong) : at::tensor({7, 0, 31, 8, 2, 20}, at::kLong);
      // A layer of a larger pool: strided.
      const auto pool = [&](at::Device device) {
        return at::zeros({kv_heads, 2 * capacity, head_dim}, at::TensorOptions(dtype).device(device)).narrow(1, 0, capacity);
      };
      const auto keys = pool(at::kCPU), values = pool(at::kCPU);
      ASSERT_FALSE(keys.is_contiguous());
      const auto q = rope_kv_append(qkv, cos, sin, keys, values, slots, heads, kv_heads);
      const auto all = qkv.view({tokens, heads + 2 * kv_heads, head_dim}).transpose(0, 1);
      const auto x = all.to(at::kDouble).narrow(0, 0, heads + kv_heads);
      const auto low = x.narrow(-1, 0, head_dim / 2), high = x.narrow(-1, head_dim / 2, head_dim / 2);
      // The tables are rounded before: truth starts from them.
      const auto table = [&](const at::Tensor& t) { return t.to(at::kDouble).narrow(-1, 0, head_dim / 2).unsqueeze(0); };
      const auto c = table(cos), s = table(sin);
      const auto truth = at::cat({low * c - high * s, high * c + low * s}, -1);
      // Each product is rounded, and their sum: of two large products may be left a small one.
      const auto parts = at::cat({(low * c).abs() + (high * s).abs(), (high * c).abs() + (low * s).abs()}, -1);
      const auto allowed = (truth.abs() + parts) * (1.01 * rounding(dtype)) + 1e-30;
      const auto q_truth = truth.narrow(0, 0, heads), q_allowed = allowed.narrow(0, 0, heads);
      expect_within(q, q_truth, q_allowed, "rotated queries");
      const auto expect_appended = [&](const at::Tensor& own_keys, const at::Tensor& own_values) {
        expect_within(own_keys.cpu().index_select(1, slots), truth.narrow(0, heads, kv_heads),
                      allowed.narrow(0, heads, kv_heads), "appended keys");
        EXPECT_TRUE(at::equal(own_values.cpu().index_select(1, slots), all.narrow(0, heads + kv_heads, kv_heads)));
        // Nothing else was written.
        for (const auto& own : {own_keys, own_values}) {
          EXPECT_EQ(own.cpu().clone().index_fill_(1, slots, 0).count_nonzero().item<int64_t>(), 0);
        }
      };
      expect_appended(keys, values);
      if (!has_gpu()) continue;
      const auto gpu_keys = pool(at::kCUDA), gpu_values = pool(at::kCUDA);
      ASSERT_FALSE(gpu_keys.is_contiguous());
      const auto gpu_q = rope_kv_append(qkv.cuda(), cos.cuda(), sin.cuda(), gpu_keys, gpu_values, slots.cuda(), heads, kv_heads);
      expect_as_good(gpu_q, q, q_truth, q_allowed, "rotated queries on the GPU");
      expect_appended(gpu_keys, gpu_values);
    }
  }
  if (!has_gpu()) GTEST_SKIP() << "CUDA part: no GPU in this build or machine; the CPU part passed";
}

// Products of a few rows, and which are left to libtorch.
TEST(FewRows, PlainAndCuda) {
  at::manual_seed(4);
  const auto bf16 = at::kBFloat16;
  EXPECT_FALSE(takes_few_rows(at::zeros({1, 64}, bf16), at::zeros({8, 64}, bf16)));  // on the CPU
  if (!has_gpu()) GTEST_SKIP() << "CUDA part: no GPU in this build or machine; the CPU part passed";
  for (const int64_t rows : {1, 7, 9, 16}) {
    for (const auto& [in, out] : {std::array<int64_t, 2>{896, 50}, {64, 7}, {1024, 19}}) {
      const auto x = noise({rows, in}, bf16), bias = noise({out}, bf16);
      const auto weight = (at::randn({2 * out, in}) / std::sqrt(static_cast<double>(in))).to(bf16);
      const auto single = weight.narrow(0, 0, out);
      const auto wide = [](const at::Tensor& t) { return t.to(at::kDouble); };
      const auto magnitude = at::linear(wide(x).abs(), wide(single).abs(), wide(bias).abs());
      const auto truth = at::linear(wide(x), wide(single), wide(bias));
      const auto allowed = bound(truth, bf16, 1.01, magnitude, static_cast<double>(in));
      ASSERT_TRUE(takes_few_rows(x.cuda(), single.cuda(), bias.cuda()));
      expect_as_good(few_rows_product(x.cuda(), single.cuda(), bias.cuda()), at::linear(x, single, bias), truth, allowed, "few rows");
      // Gated: gate, silu (whose slope is 1.1 at most) and up are rounded, and the product (cuda_on_cpu/tests/few_rows_check.h).
      const auto both = at::linear(wide(x), wide(weight)).split(out, -1);
      const auto errors = (at::linear(wide(x).abs(), wide(weight).abs()) * (static_cast<double>(in) * 0x1p-24)).split(out, -1);
      const double step = rounding(bf16);
      const auto silu = both[0] * at::sigmoid(both[0]), product = silu * both[1];
      const auto up_error = errors[1] + both[1].abs() * step;
      const auto silu_error = 1.1 * (errors[0] + both[0].abs() * step) + silu.abs() * step;
      const auto gated = silu_error * (both[1].abs() + up_error) + silu.abs() * up_error + product.abs() * step + 1e-30;
      expect_within(few_rows_swiglu(x.cuda(), weight.cuda()), product, gated, "few rows, gated");
    }
  }
  const auto x = at::zeros({2, 64}, bf16).cuda(), weight = at::zeros({8, 64}, bf16).cuda();
  EXPECT_FALSE(takes_few_rows(x, weight.to(at::kFloat)));
  EXPECT_FALSE(takes_few_rows(at::zeros({17, 64}, bf16).cuda(), weight));
  EXPECT_FALSE(takes_few_rows(at::zeros({1, 1056}, bf16).cuda(), at::zeros({8, 1056}, bf16).cuda()));
  EXPECT_FALSE(takes_few_rows(at::zeros({2, 63}, bf16).cuda(), at::zeros({8, 63}, bf16).cuda()));
  EXPECT_FALSE(takes_few_rows(x, at::zeros({64, 8}, bf16).cuda().t()));
}

// The two halves of a vision layer.
TEST(ScaleAddNorm, PlainAndCuda) {
  at::manual_seed(8);
  const c10::NoGradGuard no_grad;
  for (const auto& [rows, size] : {std::array<int64_t, 2>{3, 64}, {5, 1024}, {2, 96}, {2, 1032}, {4, 20}}) {
    for (const auto dtype : kDtypes) {
      const auto x = noise({rows, size}, dtype), delta = noise({rows, size}, dtype), scale = noise({size}, dtype);
      const auto weight = noise({size}, dtype), bias = noise({size}, dtype);
      const auto plain = scale_add_norm_reference(x, delta.clone(), scale, weight, bias, 1e-6);
      const auto wide = [](const at::Tensor& t) { return t.to(at::kDouble); };
      const auto sum = wide(plain.sum), centred = sum - sum.mean(-1, true);
      const auto factor = (centred.square().mean(-1, true) + 1e-6).rsqrt();
      const auto truth = centred * factor * wide(weight) + wide(bias);
      const auto magnitude = sum.abs().amax(-1, true) * factor * wide(weight).abs() + truth.abs() + wide(bias).abs();
      const auto allowed = bound(truth, dtype, 1.01, magnitude, static_cast<double>(size) + 8);
      expect_within(plain.normalised, truth, allowed, "scale, add, norm");
      if (!has_gpu()) continue;
      const auto actual = scale_add_norm(x.cuda(), delta.cuda(), scale.cuda(), weight.cuda(), bias.cuda(), 1e-6);
      EXPECT_TRUE(at::equal(actual.sum.cpu(), plain.sum)) << size;
      // Other sizes and fp32 are libtorch's operators there, too, and not what is tested.
      if (dtype == at::kBFloat16 && size % 8 == 0 && size <= 1024) expect_within(actual.normalised, truth, allowed, "scale, add, norm on the GPU");
    }
  }
  if (!has_gpu()) GTEST_SKIP() << "CUDA part: no GPU in this build or machine; the CPU part passed";
}

TEST(PagedDecode, PlainAndCuda) {
  if (!has_gpu()) GTEST_SKIP() << "CUDA part: no GPU in this build or machine; the CPU part passed";
  at::manual_seed(5);
  for (const auto dtype : kDtypes) {
    for (const auto& [heads, kv_heads, head_dim] : {std::array<int64_t, 3>{14, 2, 64}, {28, 4, 128}, {4, 2, 18}}) {
      const int64_t rows = 3, blocks = 6, size = 64, slots = rows * blocks * size;
      const auto options = at::TensorOptions(dtype).device(at::kCUDA);
      const auto q = at::randn({heads, rows, head_dim}, options);
      const auto keys = at::randn({kv_heads, slots, head_dim}, options), values = at::randn({kv_heads, slots, head_dim}, options);
      const auto table = at::randperm(rows * blocks, at::kInt).view({rows, blocks}).cuda();
      const DecodeRows where{table, at::tensor({1, 383, 130}, at::kLong).cuda(), size, decode_splits(rows, kv_heads)};
      const auto fast = paged_decode_attention(q, keys, values, where);
      const auto wide = [](const at::Tensor& t) { return t.cpu().to(at::kDouble); };
      const auto attend = [&](const at::Tensor& v) { return paged_decode_attention_reference(wide(q), wide(keys), v, where); };
      const auto truth = attend(wide(values));
      // A score's error, of a sum in fp32 over a head, changes a weight above and below the line; then the sums of the values.
      const double most = wide(q).norm(2, -1).max().item<double>() * wide(keys).norm(2, -1).max().item<double>();
      const double score = (static_cast<double>(head_dim) + 4) * most / std::sqrt(static_cast<double>(head_dim));
      expect_within(fast, truth, bound(truth, dtype, 1.01, attend(wide(values).abs()), 2 * (score + 4) + 2 * (383 + 8)), "paged decode");
    }
  }
}

// Some 600 checks a token hold: none may make a text for it.
template <typename Text>
concept IsExpectation = requires(KernelChecks checks, Text text) { checks.require(true, text); };
static_assert(IsExpectation<const char*> && !IsExpectation<std::string>);

TEST(Dispatch, RefusesWrongArgumentsListingThem) {
  const auto x = at::zeros({2, 8});
  try {
    add_rms_norm(x, at::zeros({2, 7}), at::zeros({9}), 1e-6);
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_EQ(error.details().size(), 2u);
  }
  EXPECT_THROW(swiglu(at::zeros({2, 7})), Error);
  EXPECT_THROW(swiglu(at::zeros({2, 8}, at::kLong)), Error);
  const auto keys = at::zeros({1, 4, 8}), values = at::zeros({1, 4, 8}), table = at::zeros({2, 8});
  // Slots 3 and 4 of a pool of 4.
  EXPECT_THROW(rope_kv_append(at::zeros({2, 24}), table, table, keys, values, at::tensor({3, 4}, at::kLong), 1, 1),
               Error);
}

}  // namespace
}  // namespace facellm
