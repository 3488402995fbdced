// cp.async, ldmatrix and mma of kernels/common/instructions.cuh: a product of matrices by all three, as a fast kernel
// makes it, and what the checker finds where a wait or a barrier is missing.
#include <cmath>

#include "caught.h"
#include "instructions_kernels.cuh"
#include "scalar.h"

namespace cuda_on_cpu {
namespace {

using cuda::launch;

TEST(Instructions, ProductOfMatrices) {
  in_all_orders([] {
    constexpr int kDepth = 64;
    auto a = facellm::noise<__nv_bfloat16>(16 * kDepth, "a"), b = facellm::noise<__nv_bfloat16>(8 * kDepth, "b");
    Buffer<float> c(16 * 8, "c");
    const auto run = [&](Mistake mistake) {
      return caught([&] { launch(product_kernel, 1, 32, 0, nullptr, a.data(), b.data(), c.data(), kDepth, mistake); });
    };
    const auto report = run(kNone);
    ASSERT_FALSE(report) << report->text;
    for (int i = 0; i < 16; ++i) {
      for (int j = 0; j < 8; ++j) {
        double sum = 0, magnitude = 0;
        for (int k = 0; k < kDepth; ++k) {
          const double term = double{facellm::wide(a[i * kDepth + k])} * facellm::wide(b[j * kDepth + k]);
          sum += term;
          magnitude += std::abs(term);
        }
        // One rounding to fp32 for each of the four steps.
        EXPECT_NEAR(c[i * 8 + j], sum, 4 * 0x1p-24 * magnitude) << i << ", " << j;
      }
    }
    const auto expect_copy = [&](Mistake mistake) {
      const auto found = run(mistake);
      ASSERT_TRUE(found) << mistake;
      EXPECT_STREQ(name_of(found->fault), name_of(Fault::kAsyncCopy)) << found->text;
      EXPECT_EQ(found->kernel, "product_kernel");
      EXPECT_NE(found->place.line.find("instructions_kernels.cuh:"), std::string::npos) << found->text;
      EXPECT_NE(found->other.line.find("instructions_kernels.cuh:"), std::string::npos) << found->text;
    };
    expect_copy(kNoWait);
    expect_copy(kTooEarly);
    // Lanes read each other's rows: which others have not asked for yet, have not waited for, or have just brought.
    EXPECT_TRUE(run(kNoBarrier));
  });
}

// mma and ldmatrix bring a warp together, but order no memory: without a barrier behind them there is a race, in a block of one warp, too.
TEST(Instructions, DoNotOrderTheirWarp) {
  auto a = facellm::noise<__nv_bfloat16>(16 * 64, "a"), b = facellm::noise<__nv_bfloat16>(8 * 64, "b");
  Buffer<float> c(16 * 8, "c");
  const auto report =
      caught([&] { launch(product_kernel, 1, 32, 0, nullptr, a.data(), b.data(), c.data(), 64, kLateBarrier); });
  ASSERT_TRUE(report);
  EXPECT_EQ(report->fault, Fault::kRace) << report->text;
}

// PTX ISA, ldmatrix: which lane gets which element.
TEST(Instructions, LdmatrixGivesWhatTheManualSays) {
  Buffer<uint16_t> in(32 * 8, "in");
  Buffer<uint32_t> out(32 * 4, "out");
  for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<uint16_t>(i);
  for (const bool is_transposed : {false, true}) {
    launch(transpose_kernel, 1, 32, 0, nullptr, in.data(), out.data(), is_transposed);
    for (uint32_t l = 0; l < 32; ++l) {
      for (uint32_t m = 0; m < 4; ++m) {
        const uint32_t r = l / 4, c = l % 4 * 2;
        const uint32_t low = is_transposed ? m * 64 + c * 8 + r : m * 64 + r * 8 + c;
        EXPECT_EQ(out[l * 4 + m], low | (low + (is_transposed ? 8 : 1)) << 16) << l << ", " << m;
      }
    }
  }
}

TEST(Instructions, CopiesFillUpWithZeros) {
  Buffer<float> in(3, "in"), out(4, "out");
  for (int i = 0; i < 3; ++i) in[i] = static_cast<float>(i + 1);
  launch(tail_kernel, 1, 1, 0, nullptr, in.data(), out.data(), 12);
  EXPECT_EQ(out[2], 3.f);
  EXPECT_EQ(out[3], 0.f);
  const auto report = caught([&] { launch(tail_kernel, 1, 1, 0, nullptr, in.data(), out.data(), 16); });
  ASSERT_TRUE(report);
  EXPECT_EQ(report->fault, Fault::kOutOfBounds) << report->text;
  const auto misaligned = caught([&] { launch(tail_kernel, 1, 1, 0, nullptr, in.data() + 1, out.data(), 4); });
  ASSERT_TRUE(misaligned);
  EXPECT_EQ(misaligned->fault, Fault::kMisaligned) << misaligned->text;
}

}  // namespace
}  // namespace cuda_on_cpu
