// Each fused op: its plain version against fp64 truth, the dispatcher's refusals, and, where a GPU is,
// the CUDA kernel by the three-way rule (its error may not exceed the plain version's by more than one
// rounding). Shapes that defeat alignment, strided caches, outliers.
#include <gtest/gtest.h>

#include "core/error.h"
#include "kernels/add_rms_norm/add_rms_norm.h"
#include "kernels/common/checks.h"
#include "kernels/rope_kv_append/rope_kv_append.h"
#include "kernels/swiglu/swiglu.h"
#if FACELLM_CUDA
#include <c10/cuda/CUDAFunctions.h>
#endif

namespace facellm {
namespace {

bool has_gpu() {
#if FACELLM_CUDA
  return c10::cuda::device_count() > 0;
#else
  return false;
#endif
}

// One rounding of bf16 is 2^-9 of the value; of fp32 2^-24, with room for sums in another order.
double rounding(at::ScalarType dtype) { return dtype == at::kBFloat16 ? 1.0 / 256 : 1e-5; }

double error(const at::Tensor& actual, const at::Tensor& truth) {
  const auto difference = (actual.cpu().to(at::kDouble) - truth).abs().max().item<double>();
  return difference / std::max(truth.abs().max().item<double>(), 1e-30);
}

at::Tensor noise(at::IntArrayRef shape, at::ScalarType dtype) {
  auto x = at::randn(shape, at::kDouble);
  if (x.numel() > 100) x.view(-1)[17] = 300.0;  // an outlier, as hidden states have
  return x.to(dtype);
}

constexpr std::array kDtypes{at::kFloat, at::kBFloat16};

TEST(AddRmsNorm, PlainAndCuda) {
  at::manual_seed(1);
  for (const auto dtype : kDtypes) {
    for (const int64_t size : {896, 3200, 507, 64}) {
      const auto residual = noise({3, 5, size}, dtype), delta = noise({3, 5, size}, dtype);
      const auto weight = noise({size}, dtype);
      // The sum is rounded before the norm reads it: truth starts from there.
      const auto sum = residual + delta;
      const auto x = sum.to(at::kDouble);
      const auto truth =
          x * at::rsqrt(x.pow(2).mean(-1, true) + 1e-6) * weight.to(at::kDouble);
      const auto plain = add_rms_norm(residual, delta, weight, 1e-6);
      EXPECT_TRUE(at::equal(plain.residual, sum));
      EXPECT_LT(error(plain.normalised, truth), 2 * rounding(dtype)) << size;
      EXPECT_TRUE(at::equal(add_rms_norm(sum, {}, weight, 1e-6).normalised, plain.normalised));
      if (!has_gpu()) continue;
      const auto fused = add_rms_norm(residual.cuda(), delta.cuda(), weight.cuda(), 1e-6);
      EXPECT_TRUE(at::equal(fused.residual.cpu(), sum));
      EXPECT_LE(error(fused.normalised, truth), error(plain.normalised, truth) + rounding(dtype));
    }
  }
  if (!has_gpu()) GTEST_SKIP() << "CUDA part: no GPU in this build or machine; the CPU part passed";
}

TEST(SwiGlu, PlainAndCuda) {
  at::manual_seed(2);
  for (const auto dtype : kDtypes) {
    for (const int64_t size : {4864, 123, 1}) {
      const auto gate_up = noise({2, 7, 2 * size}, dtype);
      const auto halves = gate_up.to(at::kDouble).chunk(2, -1);
      const auto truth = halves[0] * at::sigmoid(halves[0]) * halves[1];
      const auto plain = swiglu(gate_up);
      EXPECT_LT(error(plain, truth), 2 * rounding(dtype)) << size;
      if (has_gpu()) {
        EXPECT_LE(error(swiglu(gate_up.cuda()), truth), error(plain, truth) + rounding(dtype));
      }
    }
  }
  if (!has_gpu()) GTEST_SKIP() << "CUDA part: no GPU in this build or machine; the CPU part passed";
}

TEST(RopeKvAppend, PlainAndCuda) {
  at::manual_seed(3);
  for (const auto dtype : kDtypes) {
    for (const auto& [heads, kv_heads, head_dim, length] :
         {std::array<int64_t, 4>{14, 2, 64, 1}, {4, 4, 128, 9}, {6, 3, 18, 5}}) {
      const int64_t batch = 2, capacity = 32;
      const auto qkv = noise({batch, length, (heads + 2 * kv_heads) * head_dim}, dtype);
      const auto angles = at::randn({batch, length, head_dim / 2}, at::kDouble);
      const auto both = at::cat({angles, angles}, -1);
      const auto cos = both.cos().to(dtype), sin = both.sin().to(dtype);
      const auto starts = at::tensor({3, 0}, at::kLong);
      // Rows of a larger cache: strided.
      auto keys = at::zeros({batch, kv_heads, 2 * capacity, head_dim}, dtype).narrow(2, 0, capacity);
      auto values = at::zeros_like(keys);
      const auto q = rope_kv_append(qkv, cos, sin, keys, values, starts, heads, kv_heads);
      const auto all = qkv.view({batch, length, heads + 2 * kv_heads, head_dim});
      const auto x = all.to(at::kDouble).narrow(2, 0, heads + kv_heads);
      const auto low = x.narrow(-1, 0, head_dim / 2), high = x.narrow(-1, head_dim / 2, head_dim / 2);
      const auto c = angles.cos().unsqueeze(2), s = angles.sin().unsqueeze(2);
      const auto truth = at::cat({low * c - high * s, high * c + low * s}, -1).transpose(1, 2);
      EXPECT_LT(error(q, truth.narrow(1, 0, heads)), 3 * rounding(dtype));
      for (int64_t b = 0; b < batch; ++b) {
        const int64_t start = starts[b].item<int64_t>();
        EXPECT_LT(error(keys[b].narrow(1, start, length), truth[b].narrow(0, heads, kv_heads)),
                  3 * rounding(dtype));
        EXPECT_TRUE(at::equal(values[b].narrow(1, start, length),
                              all[b].narrow(1, heads + kv_heads, kv_heads).transpose(0, 1)));
        // Nothing else was written.
        EXPECT_EQ(keys[b].narrow(1, start + length, capacity - start - length).count_nonzero().item<int64_t>(), 0);
      }
      if (!has_gpu()) continue;
      auto gpu_keys = at::zeros_like(keys).cuda(), gpu_values = at::zeros_like(values).cuda();
      const auto gpu_q = rope_kv_append(qkv.cuda(), cos.cuda(), sin.cuda(), gpu_keys, gpu_values,
                                        starts.cuda(), heads, kv_heads);
      EXPECT_LE(error(gpu_q, q.to(at::kDouble)), rounding(dtype));
      EXPECT_LE(error(gpu_keys, keys.to(at::kDouble)), rounding(dtype));
      EXPECT_TRUE(at::equal(gpu_values.cpu(), values));
    }
  }
  if (!has_gpu()) GTEST_SKIP() << "CUDA part: no GPU in this build or machine; the CPU part passed";
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
  auto keys = at::zeros({1, 1, 4, 8}), values = at::zeros({1, 1, 4, 8});
  const auto table = at::zeros({1, 2, 8});
  // Slots 3 and 4 of a cache of 4.
  EXPECT_THROW(rope_kv_append(at::zeros({1, 2, 24}), table, table, keys, values,
                              at::tensor({3}, at::kLong), 1, 1),
               Error);
}

}  // namespace
}  // namespace facellm
