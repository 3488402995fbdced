// low_rank_cuda.cu on the CPU, bit for bit.
#include "kernels/low_rank/low_rank_cuda.h"

#include "caught.h"
#include "low_rank_check.h"

namespace facellm {
namespace {

void expect_equal(const Comparison& comparison) {
  EXPECT_GT(comparison.elements, 0);
  EXPECT_EQ(comparison.different, 0) << comparison.first;
}

TEST(LowRankOnCpu, BitForBit) {
  cuda_on_cpu::in_all_orders([] { expect_equal(check_low_rank_cases(low_rank_cuda)); });
}

// The most rows of a group, of the 1B's o.
TEST(LowRankOnCpu, ManyRows) {
  const LowRankCase most{kMostLowRankRows, 896, 70, false, {{0, kMostLowRankRows, {{0, 70, 16}}}}};
  expect_equal(check_low_rank<__nv_bfloat16>(low_rank_cuda, most));
}

TEST(LowRankOnCpu, TwoLaunchesForAllGroups) {
  std::vector<std::string> launches;
  cuda_on_cpu::settings().on_launch = [&](const cuda_on_cpu::LaunchInfo& info) { launches.push_back(info.kernel); };
  check_low_rank<float>(low_rank_cuda, low_rank_cases()[2]);
  cuda_on_cpu::settings().on_launch = nullptr;
  EXPECT_EQ(launches, (std::vector<std::string>{"low_rank_project_kernel<float>", "low_rank_expand_kernel<float>"}));
}

// Threads share the columns evenly, and are whole warps of one block.
TEST(LowRankOnCpu, ThreadsOfColumns) {
  for (const auto& [in, threads] : {std::pair<int64_t, int64_t>{8, 32}, {896, 128}, {1024, 128}, {4096, 512}, {4864, 320}, {18944, 480}}) {
    EXPECT_EQ(low_rank_threads(in), threads) << in;
  }
  for (int64_t in = 8; in < 100000; in += 8) ASSERT_TRUE(low_rank_threads(in) % 32 == 0 && low_rank_threads(in) <= 512) << in;
}

}  // namespace
}  // namespace facellm
