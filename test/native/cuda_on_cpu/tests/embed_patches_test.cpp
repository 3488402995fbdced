// embed_patches_cuda.cu on the CPU, bit for bit.
#include "kernels/embed_patches/embed_patches_cuda.h"

#include "caught.h"
#include "embed_patches_check.h"

namespace facellm {
namespace {

void expect_equal(const Comparison& comparison) {
  EXPECT_GT(comparison.elements, 0);
  EXPECT_EQ(comparison.different, 0) << comparison.first;
}

TEST(EmbedPatchesOnCpu, BitForBit) {
  cuda_on_cpu::in_all_orders([] { expect_equal(check_embed_patches_shapes(embed_patches_cuda)); });
  expect_equal(check_embed_patches<__nv_bfloat16>(embed_patches_cuda, 1, 16, 1024));  // the 300M
  expect_equal(check_embed_patches<__nv_bfloat16>(embed_patches_cuda, 2, 3, 64, 1));  // memory that is not aligned
}

// A grid has at most 65,535 rows: more take a second launch.
TEST(EmbedPatchesOnCpu, MoreTilesThanAGrid) {
  std::vector<unsigned> launches;
  cuda_on_cpu::settings().on_launch = [&](const cuda_on_cpu::LaunchInfo& info) { launches.push_back(info.grid[1]); };
  expect_equal(check_embed_patches<__nv_bfloat16>(embed_patches_cuda, 65536, 1, 1));
  cuda_on_cpu::settings().on_launch = nullptr;
  EXPECT_EQ(launches, (std::vector<unsigned>{65535, 1}));
}

}  // namespace
}  // namespace facellm
