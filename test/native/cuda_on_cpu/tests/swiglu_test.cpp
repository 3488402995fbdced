// swiglu_cuda.cu on the CPU, bit for bit.
#include "kernels/swiglu/swiglu_cuda.h"

#include "caught.h"
#include "swiglu_check.h"

namespace facellm {
namespace {

void expect_equal(const Comparison& comparison) {
  EXPECT_GT(comparison.elements, 0);
  EXPECT_EQ(comparison.different, 0) << comparison.first;
}

TEST(SwiGluOnCpu, BitForBit) {
  cuda_on_cpu::in_all_orders([] { expect_equal(check_swiglu_shapes(swiglu_cuda)); });
  expect_equal(check_swiglu<__nv_bfloat16>(swiglu_cuda, 2, 4864));  // the 1B
  expect_equal(check_swiglu<float>(swiglu_cuda, 2, 4864));
}

// A grid has at most 65,535 rows: more take a second launch.
TEST(SwiGluOnCpu, MoreRowsThanAGrid) {
  std::vector<unsigned> launches;
  cuda_on_cpu::settings().on_launch = [&](const cuda_on_cpu::LaunchInfo& info) { launches.push_back(info.grid[1]); };
  expect_equal(check_swiglu<__nv_bfloat16>(swiglu_cuda, 65536, 1));
  cuda_on_cpu::settings().on_launch = nullptr;
  EXPECT_EQ(launches, (std::vector<unsigned>{65535, 1}));
}

}  // namespace
}  // namespace facellm
