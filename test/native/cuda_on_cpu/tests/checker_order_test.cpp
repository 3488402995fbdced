// Small kernels that order their accesses, or do not: barriers, warp functions, blocks, atomics. Beside each mistake the
// same kernel without it, of which nothing may be told.
#include <array>

#include "caught.h"
#include "kernels/common/launch.cuh"

namespace cuda_on_cpu {
namespace {

using facellm::cuda::launch;

void expect_fault(const std::optional<Report>& report, Fault fault, const std::string& part) {
  ASSERT_TRUE(report.has_value()) << "nothing was found; expected " << name_of(fault) << ", " << part;
  EXPECT_STREQ(name_of(report->fault), name_of(fault)) << report->text;
  EXPECT_NE(report->text.find(part), std::string::npos) << report->text;
}

// Writes at its own place, and reads its neighbour's from `distance` lanes on. A warp's neighbours are ordered by __syncwarp(), and by
// no shuffle.
__global__ void neighbour_kernel(int* out, int distance, int barrier) {
  __shared__ int values[128];
  values[threadIdx.x] = static_cast<int>(threadIdx.x);
  if (barrier == 1) __syncthreads();
  if (barrier == 2) __syncwarp();
  if (barrier == 3) __syncwarp(threadIdx.x % 32 < 16 ? 0x0000ffffu : 0xffff0000u);
  if (barrier == 4) __shfl_xor_sync(0xffffffffu, 0, 1);
  out[threadIdx.x] = values[(threadIdx.x + distance) % 128];
}

TEST(Order, BarriersOrderABlockAndWarpFunctionsALane) {
  in_all_orders([] {
    Buffer<int> out(128, "out");
    const auto run = [&](int distance, int barrier) {
      return caught([&] { launch(neighbour_kernel, 1, 128, 0, nullptr, out.data(), distance, barrier); });
    };
    EXPECT_FALSE(run(0, 0));
    EXPECT_FALSE(run(1, 1));
    EXPECT_FALSE(run(64, 1));
    for (const int barrier : {0, 2, 3, 4}) {
      const auto report = run(32, barrier);  // another warp's
      ASSERT_TRUE(report) << barrier;
      EXPECT_TRUE(report->fault == Fault::kRace || report->fault == Fault::kUninitialised) << report->text;
    }
    EXPECT_TRUE(run(1, 3));
    EXPECT_TRUE(run(1, 4));
  });
}

// Within a warp: what each kind of warp function orders.
__global__ void lanes_kernel(int* out, unsigned mask, int distance) {
  __shared__ int values[32];
  values[threadIdx.x] = static_cast<int>(threadIdx.x);
  if (mask >> threadIdx.x & 1u) __syncwarp(mask);
  if (mask >> threadIdx.x & 1u) out[threadIdx.x] = values[(threadIdx.x + distance) % 32];
}

TEST(Order, AMaskOrdersItsLanesAlone) {
  in_all_orders([] {
    Buffer<int> out(32, "out");
    const auto run = [&](unsigned mask, int distance) {
      return caught([&] { launch(lanes_kernel, 1, 32, 0, nullptr, out.data(), mask, distance); });
    };
    EXPECT_FALSE(run(0xffffffffu, 1));
    EXPECT_FALSE(run(0xffffffffu, 31));
    EXPECT_FALSE(run(0x55555555u, 2));
    EXPECT_FALSE(run(0x00000001u, 0));
    const auto report = run(0x55555555u, 1);
    ASSERT_TRUE(report);
    EXPECT_TRUE(report->fault == Fault::kRace || report->fault == Fault::kUninitialised) << report->text;
  });
}

// Two halves of a warp meet by themselves, then as a whole: what one learns is handed on.
__global__ void chain_kernel(int* out) {
  __shared__ int values[32];
  const unsigned lane = threadIdx.x;
  values[lane] = 1;
  const unsigned half = lane < 16 ? 0x0000ffffu : 0xffff0000u;
  __syncwarp(half);
  const unsigned across = lane == 0 || lane == 16 ? 0x00010001u : 0;
  if (across != 0) __syncwarp(across);
  __syncwarp(half);
  out[lane] = values[(lane + 16) % 32];
}

TEST(Order, IsHandedOn) {
  in_all_orders([] {
    Buffer<int> out(32, "out");
    const auto report = caught([&] { launch(chain_kernel, 1, 32, 0, nullptr, out.data()); });
    EXPECT_FALSE(report) << report->text;
  });
}

// Reads in a first round what the next round overwrites.
__global__ void overwrite_kernel(int* out, bool has_second_barrier) {
  __shared__ int value;
  for (int round = 0; round < 3; ++round) {
    if (threadIdx.x == 0) value = round;
    __syncthreads();
    out[threadIdx.x] = value;
    if (has_second_barrier) __syncthreads();
  }
}

TEST(Order, WriteAfterReadsOfManyIsARace) {
  Buffer<int> out(96, "out");
  const auto run = [&](bool has_second_barrier) {
    return caught([&] { launch(overwrite_kernel, 1, 96, 0, nullptr, out.data(), has_second_barrier); });
  };
  in_all_orders([&] {
    EXPECT_FALSE(run(true));
    EXPECT_TRUE(run(false));
  });
  settings().order = Order::kBackward;  // thread 0 comes last
  const auto report = run(false);
  settings().order = Order::kShuffled;
  expect_fault(report, Fault::kRace, "thread (0,0,0) of block (0,0,0) writes 4 bytes at byte 0 of shared memory overwrite_kernel::value");
  expect_fault(report, Fault::kRace, "; several threads read it, last at ");
}

__global__ void blocks_kernel(int* data, int mode) {
  if (mode == 0) data[blockIdx.x] = 1;
  if (mode == 1) data[blockIdx.x / 2] = 1;
  if (mode == 2) (void)atomicAdd(data, 1);
  if (mode == 3 && blockIdx.x == 0) (void)atomicAdd(data, 1);
  if (mode == 3 && blockIdx.x != 0) data[1 + blockIdx.x] = *data;
  if (mode == 4) data[1 + blockIdx.x] = *data;
  if (mode == 5 && blockIdx.x == 2) *data = 5;
  if (mode == 5 && blockIdx.x != 2) data[1 + blockIdx.x] = *data;
}

TEST(Order, BlocksOfALaunchHaveNone) {
  in_all_orders([] {
    Buffer<int> data(6, "data");
    const auto run = [&](int mode) {
      std::fill(data.begin(), data.end(), 0);
      return caught([&] { launch(blocks_kernel, 4, 1, 0, nullptr, data.data(), mode); });
    };
    EXPECT_FALSE(run(0));
    EXPECT_FALSE(run(2));
    EXPECT_EQ(data[0], 4);
    EXPECT_FALSE(run(4));
    expect_fault(run(1), Fault::kRace, "blocks have no order");
    expect_fault(run(3), Fault::kRace, "blocks have no order");
    const auto report = run(5);
    expect_fault(report, Fault::kRace, "blocks have no order");
    EXPECT_NE(report->place.block, report->other.block) << report->text;
    EXPECT_FALSE(report->other.line.empty()) << report->text;
    EXPECT_FALSE(run(0));  // another launch comes after
  });
}

__global__ void atomic_kernel(int* data, int* out, bool has_barrier) {
  (void)atomicAdd(data, 1);
  if (has_barrier) __syncthreads();
  out[threadIdx.x] = *data;
}

TEST(Order, AtomicsOrderNothing) {
  in_all_orders([] {
    Buffer<int> data(1, "data"), out(64, "out");
    const auto run = [&](bool has_barrier) {
      data[0] = 0;
      return caught([&] { launch(atomic_kernel, 1, 64, 0, nullptr, data.data(), out.data(), has_barrier); });
    };
    EXPECT_FALSE(run(true));
    EXPECT_EQ(out[63], 64);
    expect_fault(run(false), Fault::kRace, "with no barrier between");
  });
}

__global__ void barriers_kernel(int mode) {
  if (mode == 1 && threadIdx.x >= 40) return;
  if (mode == 2 && threadIdx.x < 40) __syncthreads();
  if (mode == 3) {
    if (threadIdx.x < 32) {
      __syncthreads();
    } else {
      __syncthreads();
    }
  }
  __syncthreads();
}

TEST(Order, Divergence) {
  in_all_orders([] {
    const auto run = [](int mode) { return caught([&] { launch(barriers_kernel, 1, 64, 0, nullptr, mode); }); };
    EXPECT_FALSE(run(0));
    expect_fault(run(1), Fault::kDivergence, "has left the kernel");
    expect_fault(run(2), Fault::kDivergence, "waits at another one");
    expect_fault(run(3), Fault::kDivergence, "waits at another one");
  });
}

__global__ void warp_kernel(int* out, int mode) {
  const unsigned lane = threadIdx.x % 32;
  int x = static_cast<int>(lane);
  if (mode == 1 && lane == 31) return;
  if (mode == 2 && lane == 31) __syncthreads();
  const unsigned mask = mode == 3 ? 0x7fffffffu : 0xffffffffu;
  if (mode == 4 && lane < 16) x = __shfl_sync(0x0000ffffu, x, 16);
  if (mode == 5 && lane < 16) {
    x = __shfl_xor_sync(0xffffffffu, x, 1);
  } else {
    x = __shfl_xor_sync(mask, x, 16);
  }
  if (mode == 2 && lane != 31) __syncthreads();
  out[threadIdx.x] = x;
}

TEST(Order, WarpFunctions) {
  in_all_orders([] {
    Buffer<int> out(64, "out");
    const auto run = [&](int mode, unsigned threads = 64) {
      return caught([&] { launch(warp_kernel, 1, threads, 0, nullptr, out.data(), mode); });
    };
    EXPECT_FALSE(run(0));
    EXPECT_EQ(out[1], 17);
    EXPECT_EQ(out[63], 15);
    expect_fault(run(1), Fault::kWarp, "has left the kernel");
    expect_fault(run(2), Fault::kWarp, "do not come");
    expect_fault(run(3), Fault::kWarp, "a mask that leaves it out");
    expect_fault(run(4), Fault::kWarp, "reads lane 16, which takes no part");
    expect_fault(run(5), Fault::kWarp, "waits for it at another one");
    // A block may end within a warp; nobody reads the lanes that are missing.
    expect_fault(run(0, 40), Fault::kWarp, "which takes no part");
  });
}

__global__ void functions_kernel(std::array<int, 6>* out) {
  const int x = static_cast<int>(threadIdx.x);
  auto& own = out[threadIdx.x];
  own[0] = __shfl_sync(~0u, x, 5);
  own[1] = __shfl_up_sync(~0u, x, 3);
  own[2] = __shfl_down_sync(~0u, x, 3, 16);
  own[3] = __shfl_xor_sync(~0u, x, 8, 8);
  own[4] = static_cast<int>(__ballot_sync(~0u, x % 3 == 0));
  own[5] = __any_sync(~0u, x == 7) + 2 * __all_sync(~0u, x < 31) + 4 * __all_sync(~0u, x < 32);
}

// As in the CUDA C++ Programming Guide, warp shuffle and vote functions.
TEST(Order, WarpFunctionsGiveWhatTheManualSays) {
  Buffer<std::array<int, 6>> out(32, "out");
  launch(functions_kernel, 1, 32, 0, nullptr, out.data());
  for (int l = 0; l < 32; ++l) {
    EXPECT_EQ(out[l][0], 5);
    EXPECT_EQ(out[l][1], l < 3 ? l : l - 3);
    EXPECT_EQ(out[l][2], l % 16 + 3 < 16 ? l + 3 : l);
    EXPECT_EQ(out[l][3], (l ^ 8) < (l / 8 + 1) * 8 ? l ^ 8 : l);
    EXPECT_EQ(static_cast<unsigned>(out[l][4]), 0x49249249u);
    EXPECT_EQ(out[l][5], 5);
  }
}

}  // namespace
}  // namespace cuda_on_cpu
