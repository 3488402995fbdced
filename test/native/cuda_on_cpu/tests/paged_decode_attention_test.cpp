// paged_decode_attention_cuda.cu on the CPU, within what its sums' roundings allow.
#include "caught.h"
#include "paged_decode_attention_check.h"

namespace facellm {
namespace {

TEST(PagedDecodeOnCpu, NearTruth) {
  cuda_on_cpu::in_all_orders([] {
    const Comparison comparison = check_paged_decode_shapes(paged_decode_attention_cuda);
    EXPECT_GT(comparison.elements, 0);
    EXPECT_EQ(comparison.different, 0) << comparison.first;
  });
}

TEST(PagedDecodeOnCpu, TheLargestGroupFitsSharedMemory) {
  EXPECT_LE(kPagedDecodeSharedBytes + 3 * kMostGroup * 4, 48 * 1024);
  const Comparison comparison = check_paged_decode<float>(paged_decode_attention_cuda, {16, 1, 128, 64, 1}, {130});
  EXPECT_EQ(comparison.different, 0) << comparison.first;
}

}  // namespace
}  // namespace facellm
