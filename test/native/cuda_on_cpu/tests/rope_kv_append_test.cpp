// rope_kv_append_cuda.cu on the CPU, bit for bit.
#include "kernels/rope_kv_append/rope_kv_append_cuda.h"

#include "caught.h"
#include "rope_kv_append_check.h"

namespace facellm {
namespace {

TEST(RopeKvAppendOnCpu, BitForBit) {
  cuda_on_cpu::in_all_orders([] {
    const Comparison comparison = check_rope_kv_append_shapes(rope_kv_append_cuda);
    EXPECT_GT(comparison.elements, 0);
    EXPECT_EQ(comparison.different, 0) << comparison.first;
  });
}

}  // namespace
}  // namespace facellm
