// swiglu_cuda.cu on the CPU, bit for bit.
#include <cuda_bf16.h>

#include "caught.h"
#include "kernels/swiglu/swiglu_cuda.h"
#include "scalar.h"

namespace facellm {
namespace {

template <typename T>
void expect_equal(int64_t rows, int64_t size) {
  auto gate_up = noise<T>(rows * 2 * size, "gate_up");
  cuda_on_cpu::Buffer<T> out(rows * size, "out");
  swiglu_cuda(gate_up.data(), out.data(), rows, size, is_bf16<T>, nullptr);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < size; ++i) {
      const float gate = wide(gate_up[row * 2 * size + i]), up = wide(gate_up[row * 2 * size + size + i]);
      const float silu = rounded<T>(gate / (1.f + expf(-gate)));
      ASSERT_EQ(bits(out[row * size + i]), bits(narrow<T>(silu * up))) << rows << " x " << size << ": " << row << ", " << i;
    }
  }
}

// One thread an element, 256 a block: beside a warp, a block, and of the 1B.
TEST(SwiGluOnCpu, BitForBit) {
  cuda_on_cpu::in_all_orders([] {
    for (const int64_t size : {1, 31, 33, 123, 255, 256, 257, 513}) {
      expect_equal<float>(3, size);
      expect_equal<__nv_bfloat16>(3, size);
    }
  });
  expect_equal<__nv_bfloat16>(2, 4864);
  expect_equal<float>(2, 4864);
}

// A grid has at most 65,535 rows: more take a second launch.
TEST(SwiGluOnCpu, MoreRowsThanAGrid) {
  std::vector<unsigned> launches;
  cuda_on_cpu::settings().on_launch = [&](const cuda_on_cpu::LaunchInfo& info) { launches.push_back(info.grid[1]); };
  expect_equal<__nv_bfloat16>(65536, 1);
  EXPECT_EQ(launches, (std::vector<unsigned>{65535, 1}));
  launches.clear();
  expect_equal<float>(65535, 1);
  EXPECT_EQ(launches, (std::vector<unsigned>{65535}));
  cuda_on_cpu::settings().on_launch = nullptr;
}

}  // namespace
}  // namespace facellm
