// Which cards a build runs on: no CUDA is needed to know.
#include <gtest/gtest.h>

#include "core/cuda_archs.h"

namespace facellm {
namespace {

TEST(CudaArchs, NamesAreThoseOfNvcc) {
  std::string names;
  for (const auto& arch : parse_cuda_archs("80-real 90a-real 90-virtual native 86")) {
    names += cuda_arch_name(arch) + " ";
  }
  EXPECT_EQ(names, "sm_80 sm_90a compute_90 sm_86 ");
}

TEST(CudaArchs, MachineCodeRunsOnItsGenerationOnly) {
  const auto archs = parse_cuda_archs("80-real 90a-real");
  EXPECT_TRUE(runs_on(archs, 8, 0));
  EXPECT_TRUE(runs_on(archs, 8, 6));
  EXPECT_TRUE(runs_on(archs, 8, 9));
  EXPECT_TRUE(runs_on(archs, 9, 0));
  EXPECT_FALSE(runs_on(archs, 7, 5));
  EXPECT_FALSE(runs_on(archs, 10, 0));
  EXPECT_FALSE(runs_on(archs, 12, 0));
  EXPECT_FALSE(runs_on(parse_cuda_archs("86-real"), 8, 0));
}

TEST(CudaArchs, TextRunsOnLaterCardsUnlessBoundToOne) {
  EXPECT_TRUE(runs_on(parse_cuda_archs("80-real 90a-real 90-virtual"), 12, 0));
  EXPECT_TRUE(runs_on(parse_cuda_archs("80"), 10, 3));
  EXPECT_FALSE(runs_on(parse_cuda_archs("80-real 90a-real 90-virtual"), 7, 5));
  EXPECT_FALSE(runs_on(parse_cuda_archs("90a"), 10, 0));
  EXPECT_TRUE(runs_on(parse_cuda_archs("100f"), 10, 3));
  EXPECT_FALSE(runs_on(parse_cuda_archs("100f"), 12, 0));
}

TEST(CudaArchs, NothingKnownIsNoVerdict) { EXPECT_TRUE(runs_on(parse_cuda_archs("all"), 7, 0)); }

}  // namespace
}  // namespace facellm
