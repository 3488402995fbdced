// paged_decode_attention_cuda.cu on the CPU, within what its sums' roundings allow.
#include "caught.h"
#include "kernels/paged_decode_attention/paged_decode_groups_cuda.h"
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

TEST(PagedDecodeOnCpu, GroupsByTensorCores) {
  cuda_on_cpu::in_all_orders([] {
    const Comparison comparison = check_paged_decode_groups(paged_decode_groups_cuda);
    EXPECT_GT(comparison.elements, 0);
    EXPECT_EQ(comparison.different, 0) << comparison.first;
  });
}

// Of heads and addresses that its loads of 16 bytes do not fit, the other kernel is asked.
TEST(PagedDecodeOnCpu, GroupsAreTakenWhereTheyFit) {
  alignas(16) const char memory[32] = {};
  const PagedDecodeShape good{1, 14, 2, 64, 64, 64, 1, 1, 4096, 64, 4096, 64};
  EXPECT_TRUE(takes_paged_decode_groups(memory, memory, memory, good));
  EXPECT_FALSE(takes_paged_decode_groups(memory, memory + 2, memory, good));
  for (const auto spoil : {+[](PagedDecodeShape& s) { s.head_dim = 32; }, +[](PagedDecodeShape& s) { s.heads = 18; },
                           +[](PagedDecodeShape& s) { s.key_slot = 67; }, +[](PagedDecodeShape& s) { s.value_head = 4; }}) {
    PagedDecodeShape shape = good;
    spoil(shape);
    EXPECT_FALSE(takes_paged_decode_groups(memory, memory, memory, shape));
  }
}

TEST(PagedDecodeOnCpu, TheLargestGroupFitsSharedMemory) {
  EXPECT_LE(kPagedDecodeSharedBytes + 3 * kMostGroup * 4, 48 * 1024);
  const Comparison comparison = check_paged_decode<float>(of_dtype<float>(paged_decode_attention_cuda), {16, 1, 128, 64, 1}, {130});
  EXPECT_EQ(comparison.different, 0) << comparison.first;
}

}  // namespace
}  // namespace facellm
