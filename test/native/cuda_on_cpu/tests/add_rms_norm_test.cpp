// add_rms_norm_cuda.cu on the CPU, bit for bit.
#include "kernels/add_rms_norm/add_rms_norm_cuda.h"

#include "add_rms_norm_check.h"
#include "caught.h"

namespace facellm {
namespace {

void expect_equal(const Comparison& comparison) {
  EXPECT_GT(comparison.elements, 0);
  EXPECT_EQ(comparison.different, 0) << comparison.first;
}

TEST(AddRmsNormOnCpu, BitForBit) {
  cuda_on_cpu::in_all_orders([] { expect_equal(check_add_rms_norm_shapes(add_rms_norm_cuda)); });
}

// At the change to large blocks; of the 78B.
TEST(AddRmsNormOnCpu, LongRows) {
  for (const int64_t size : {4095, 4096, 4097, 8192}) {
    expect_equal(check_add_rms_norm<float>(add_rms_norm_cuda, 2, size, true));
    expect_equal(check_add_rms_norm<__nv_bfloat16>(add_rms_norm_cuda, 2, size, true));
  }
}

// q and k of the 6B tower: slices of one product.
TEST(AddRmsNormOnCpu, RowsWithAStride) {
  expect_equal(check_add_rms_norm<__nv_bfloat16>(add_rms_norm_cuda, 2, 3200, false, 9600));
}

// Static and dynamic shared memory count together: 144 bytes of block_sum() and four an element, of 49,152.
TEST(AddRmsNormOnCpu, LongestRow) {
  expect_equal(check_add_rms_norm<__nv_bfloat16>(add_rms_norm_cuda, 1, kLargestFusedNormRow, true));
  expect_equal(check_add_rms_norm<float>(add_rms_norm_cuda, 1, 12252, false));
  const auto report =
      cuda_on_cpu::caught([] { check_add_rms_norm<float>(add_rms_norm_cuda, 1, 12253, false); });
  ASSERT_TRUE(report);
  EXPECT_EQ(report->text, "launch in add_rms_norm_kernel<float>: 49012 bytes of dynamic and 144 of static shared memory; "
                          "at most 49152");
}

}  // namespace
}  // namespace facellm
