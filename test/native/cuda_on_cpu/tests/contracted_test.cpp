// Who depends on products and sums staying two roundings: the kernels compiled as nvcc compiles them by default, with a
// product fused into a sum where it may be (-ffp-contract=fast -mfma), against the same references.
#include "caught.h"

#if FACELLM_CONTRACTED
#define facellm contracted
#include "kernels/add_rms_norm/add_rms_norm_cuda.h"
#include "kernels/cross_entropy/cross_entropy_cuda.h"
#include "kernels/embed_patches/embed_patches_cuda.h"
#include "kernels/patchify/patchify_cuda.h"
#include "kernels/rope_kv_append/rope_kv_append_cuda.h"
#include "kernels/swiglu/swiglu_cuda.h"
#undef facellm

#include "add_rms_norm_check.h"
#include "backward_check.h"
#include "cross_entropy_check.h"
#include "embed_patches_check.h"
#include "low_rank_check.h"
#include "patchify_check.h"
#include "rope_kv_append_check.h"
#include "swiglu_check.h"

// Its header has a type, which that namespace has not seen.
namespace contracted {
struct LowRankCuda : facellm::LowRankCuda {};
void low_rank_cuda(const LowRankCuda& work, bool is_bf16, cudaStream_t stream);
}  // namespace contracted

namespace facellm {
namespace {

// No product is added to anything in swiglu and of patches; in rope and gradients each is rounded by name, in low_rank each fused by name,
// in cross_entropy either.
TEST(Contracted, KernelsThatNameTheirProductsAreTheSame) {
  const Comparison swiglu = check_swiglu_shapes(contracted::swiglu_cuda);
  EXPECT_EQ(swiglu.different, 0) << swiglu.first;
  const Comparison rope = check_rope_kv_append_shapes(contracted::rope_kv_append_cuda);
  EXPECT_EQ(rope.different, 0) << rope.first;
  const Comparison rows = check_patchify_shapes(contracted::patchify_cuda);
  EXPECT_EQ(rows.different, 0) << rows.first;
  const Comparison embedded = check_embed_patches_shapes(contracted::embed_patches_cuda);
  EXPECT_EQ(embedded.different, 0) << embedded.first;
  for (const Comparison& backward :
       {check_swiglu_backward_shapes(contracted::swiglu_backward_cuda), check_add_rms_norm_backward_shapes(contracted::add_rms_norm_backward_cuda),
        check_rope_backward_shapes(contracted::rope_backward_cuda)}) {
    EXPECT_EQ(backward.different, 0) << backward.first;
  }
  const Comparison low_rank = check_low_rank_cases(contracted::low_rank_cuda);
  EXPECT_EQ(low_rank.different, 0) << low_rank.first;
  const Comparison losses = check_cross_entropy_shapes(contracted::cross_entropy_cuda);
  EXPECT_EQ(losses.different, 0) << losses.first;
}

// Squares are fused into their sum. Each of a thread's terms and of the ten steps over the block is then rounded otherwise
// by half a unit, at most; half of that reaches the root, and three operations after it round once more.
TEST(Contracted, AddRmsNormDiffersInTheLastPlaces) {
  int64_t different = 0;
  for (const int64_t size : {33, 507, 896, 3200, 8192}) {
    const int64_t threads = size >= 4096 ? 1024 : 256, terms = (size + threads - 1) / threads;
    const Comparison fp32 = check_add_rms_norm<float>(contracted::add_rms_norm_cuda, 16, size, true);
    EXPECT_LE(fp32.largest, (terms + 10) / 2 + 3) << fp32.first;
    different += fp32.different;
    // Of two numbers that close, 2^-16 times as many lie on two sides of a middle as they are units apart.
    const Comparison bf16 = check_add_rms_norm<__nv_bfloat16>(contracted::add_rms_norm_cuda, 16, size, true);
    EXPECT_LE(bf16.largest, 2) << bf16.first;
    EXPECT_LE(bf16.different, bf16.elements / 1000 + 1) << bf16.first;
  }
  EXPECT_GT(different, 0) << "nothing was fused: this test shows nothing";
}

}  // namespace
}  // namespace facellm
#else
TEST(Contracted, KernelsThatNameTheirProductsAreTheSame) { GTEST_SKIP() << "this machine has no fused multiply-add"; }
#endif
