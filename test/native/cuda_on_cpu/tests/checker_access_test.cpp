// Small kernels, each with one mistake in what it touches: the checker must tell it, with both lines. And beside each the
// same kernel without the mistake, of which nothing may be told.
#include <cuda_bf16.h>

#include "caught.h"
#include "kernels/common/launch.cuh"

namespace cuda_on_cpu {
namespace {

using facellm::cuda::launch;

// What a report must say: the kind, the kernel, and a line for each party, by a comment on that line of this file.
void expect_report(const std::optional<Report>& report, Fault fault, const std::string& kernel) {
  ASSERT_TRUE(report.has_value()) << "nothing was found";
  EXPECT_STREQ(name_of(report->fault), name_of(fault)) << report->text;
  EXPECT_EQ(report->kernel, kernel) << report->text;
  EXPECT_NE(report->place.line.find("cuda_on_cpu/tests/checker_access_test.cpp:"), std::string::npos) << report->text;
  EXPECT_NE(report->text.find(kernel), std::string::npos);
}

__global__ void copy_kernel(const float* in, float* out, int count, int first) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < count) out[i] = in[i + first];
}

TEST(Access, OutOfBounds) {
  Buffer<float> in(100, "in"), out(100, "out");
  const auto run = [&](int count, int first) {
    return caught([&] { launch(copy_kernel, 4, 32, 0, nullptr, in.data(), out.data(), count, first); });
  };
  EXPECT_FALSE(run(100, 0));
  const auto beyond = run(101, -1);
  expect_report(beyond, Fault::kOutOfBounds, "copy_kernel");
  expect_report(run(100, -1), Fault::kOutOfBounds, "copy_kernel");
  expect_report(run(100, 1), Fault::kOutOfBounds, "copy_kernel");
  EXPECT_NE(run(100, 1)->text.find("0 bytes behind the end of in"), std::string::npos) << run(100, 1)->text;
  EXPECT_EQ(run(100, 1)->place.block, 3);
  EXPECT_EQ(run(100, 1)->place.thread, 3);
}

TEST(Access, MemoryOfTheHost) {
  Buffer<float> in(4, "in");
  std::vector<float> out(4);
  const auto report = caught([&] { launch(copy_kernel, 1, 4, 0, nullptr, in.data(), out.data(), 4, 0); });
  expect_report(report, Fault::kOutOfBounds, "copy_kernel");
  EXPECT_NE(report->text.find("writes 4 bytes, memory that is not the device's"), std::string::npos) << report->text;
}

template <typename T>
__global__ void reverse_kernel(T* data, bool has_barrier) {
  T* const row = facellm::cuda::dynamic_shared<T>();
  row[threadIdx.x] = data[threadIdx.x];
  if (has_barrier) __syncthreads();
  data[threadIdx.x] = row[blockDim.x - 1 - threadIdx.x];
}

TEST(Access, RaceAndUninitialisedInSharedMemory) {
  in_all_orders([] {
    Buffer<float> data(96, "data");
    for (auto& x : data) x = 1;
    const auto run = [&](bool has_barrier, size_t bytes) {
      return caught([&] { launch(reverse_kernel<float>, 1, 96, bytes, nullptr, data.data(), has_barrier); });
    };
    EXPECT_FALSE(run(true, 96 * 4));
    const auto without = run(false, 96 * 4);
    ASSERT_TRUE(without);
    // Whichever thread comes first finds what nobody has written, or finds what another has just written.
    EXPECT_TRUE(without->fault == Fault::kRace || without->fault == Fault::kUninitialised) << without->text;
    EXPECT_EQ(without->kernel, "reverse_kernel<float>");
    const auto too_short = run(true, 95 * 4);
    expect_report(too_short, Fault::kOutOfBounds, "reverse_kernel<float>");
  });
}

__global__ void vector_kernel(const uint4* in, uint4* out) { *out = *in; }

TEST(Access, Misaligned) {
  Buffer<uint32_t> in(8, "in");
  Buffer<uint4> out(1, "out");
  const auto run = [&](int first) {
    return caught([&] {
      launch(vector_kernel, 1, 1, 0, nullptr, reinterpret_cast<const uint4*>(in.data() + first), out.data());
    });
  };
  EXPECT_FALSE(run(0));
  EXPECT_FALSE(run(4));
  expect_report(run(1), Fault::kMisaligned, "vector_kernel");
  expect_report(run(2), Fault::kMisaligned, "vector_kernel");
}

}  // namespace
}  // namespace cuda_on_cpu
