// advance_rows_cuda.cu on the CPU.
#include "kernels/advance_rows/advance_rows_cuda.h"

#include "caught.h"
#include "cuda_on_cpu.h"

namespace facellm {
namespace {

TEST(AdvanceRowsOnCpu, MovesRowsOnAndLeavesEmptyPlaces) {
  cuda_on_cpu::in_all_orders([] {
    constexpr int64_t kRows = 131, kBlocks = 3, kSize = 4;
    cuda_on_cpu::Buffer<int64_t> positions(kRows, "positions"), numbers(kRows, "numbers"), lengths(kRows, "lengths"),
        slots(kRows, "slots");
    cuda_on_cpu::Buffer<int32_t> table(kRows * kBlocks, "block_table");
    for (int64_t r = 0; r < kRows; ++r) {
      positions[r] = r % 13 - 1;  // up to where the table ends
      numbers[r] = r;
      for (int64_t b = 0; b < kBlocks; ++b) table[r * kBlocks + b] = static_cast<int32_t>(1000 - r * kBlocks - b);
    }
    advance_rows_cuda({positions.data(), numbers.data(), lengths.data(), slots.data(), table.data(), kRows, kBlocks, kSize},
                      nullptr);
    for (int64_t r = 0; r < kRows; ++r) {
      const bool is_empty = r % 13 == 0;
      const int64_t position = r % 13;
      EXPECT_EQ(positions[r], is_empty ? -1 : position);
      EXPECT_EQ(numbers[r], is_empty ? r : r + 1);
      EXPECT_EQ(lengths[r], is_empty ? 0 : position + 1);
      const int64_t block = position / kSize;
      EXPECT_EQ(slots[r], is_empty || block >= kBlocks ? -1 : (1000 - r * kBlocks - block) * kSize + position % kSize) << r;
    }
  });
}

}  // namespace
}  // namespace facellm
