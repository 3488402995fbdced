// few_rows_cuda.cu on the CPU, within what its sums' roundings allow.
#include "caught.h"
#include "few_rows_check.h"

namespace facellm {
namespace {

TEST(FewRowsOnCpu, NearTruth) {
  cuda_on_cpu::in_all_orders([] {
    const Comparison comparison = check_few_rows_shapes(few_rows_cuda);
    EXPECT_GT(comparison.elements, 0);
    EXPECT_EQ(comparison.different, 0) << comparison.first;
  });
}

}  // namespace
}  // namespace facellm
