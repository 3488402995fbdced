// patchify_cuda.cu on the CPU, bit for bit.
#include "kernels/patchify/patchify_cuda.h"

#include "caught.h"
#include "patchify_check.h"

namespace facellm {
namespace {

void expect_equal(const Comparison& comparison) {
  EXPECT_GT(comparison.elements, 0);
  EXPECT_EQ(comparison.different, 0) << comparison.first;
}

TEST(PatchifyOnCpu, BitForBit) {
  cuda_on_cpu::in_all_orders([] { expect_equal(check_patchify_shapes(patchify_cuda)); });
}

// A line of patches of the released models, and a patch beside whose three channels no other has room in a block.
TEST(PatchifyOnCpu, LargeShapes) {
  expect_equal(check_patchify<__nv_bfloat16>(patchify_cuda, 1, 32, 14));
  expect_equal(check_patchify<float>(patchify_cuda, 1, 2, 100));
}

TEST(PatchifyOnCpu, MemoryThatIsNotAligned) {
  for (const int64_t shift : {1, 4}) {
    expect_equal(check_patchify<__nv_bfloat16>(patchify_cuda, 2, 8, 4, shift));
    expect_equal(check_patchify<float>(patchify_cuda, 2, 8, 4, shift));
  }
}

}  // namespace
}  // namespace facellm
