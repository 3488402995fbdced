// The backward kernels of training on the CPU, bit for bit.
#include "backward_check.h"
#include "caught.h"
#include "kernels/add_rms_norm/add_rms_norm_cuda.h"
#include "kernels/rope_kv_append/rope_kv_append_cuda.h"
#include "kernels/swiglu/swiglu_cuda.h"

namespace facellm {
namespace {

void expect_equal(const Comparison& comparison) {
  EXPECT_GT(comparison.elements, 0);
  EXPECT_EQ(comparison.different, 0) << comparison.first;
}

TEST(BackwardOnCpu, SwiGlu) {
  cuda_on_cpu::in_all_orders([] { expect_equal(check_swiglu_backward_shapes(swiglu_backward_cuda)); });
  expect_equal(check_swiglu_backward<__nv_bfloat16>(swiglu_backward_cuda, 2, 4864));  // the 1B
}

// A grid has at most 65,535 rows: more take a second launch.
TEST(BackwardOnCpu, SwiGluOfMoreRowsThanAGrid) {
  expect_equal(check_swiglu_backward<__nv_bfloat16>(swiglu_backward_cuda, 65537, 1));
}

TEST(BackwardOnCpu, AddRmsNorm) {
  cuda_on_cpu::in_all_orders([] { expect_equal(check_add_rms_norm_backward_shapes(add_rms_norm_backward_cuda)); });
  expect_equal(check_add_rms_norm_backward<__nv_bfloat16>(add_rms_norm_backward_cuda, 1, 8192, true));  // the 78B
}

TEST(BackwardOnCpu, Rope) {
  cuda_on_cpu::in_all_orders([] { expect_equal(check_rope_backward_shapes(rope_backward_cuda)); });
}

}  // namespace
}  // namespace facellm
