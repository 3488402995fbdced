// The host's side of a launch: its limits, what becomes of a fault, faults of the processor, regions that come and go.
#include <cuda_runtime.h>

#include <cstring>
#include <thread>

#include "caught.h"
#include "kernels/common/launch.cuh"

namespace cuda_on_cpu {
namespace {

using facellm::cuda::launch;

__global__ void fill_kernel(int* out, int value) { out[blockIdx.x * blockDim.x + threadIdx.x] = value; }

__global__ void shared_kernel(int* out) {
  __shared__ int fixed[8];
  int* const own = facellm::cuda::dynamic_shared<int>();
  fixed[threadIdx.x] = own[threadIdx.x] = 1;
  out[threadIdx.x] = fixed[threadIdx.x] + own[threadIdx.x];
}

std::string launch_problem(dim3 grid, dim3 block, size_t shared = 0) {
  Buffer<int> out(1, "out");
  const auto report = caught([&] { launch(shared_kernel, grid, block, shared, nullptr, out.data()); });
  return report && report->fault == Fault::kLaunch ? report->text : "";
}

TEST(Host, LimitsOfALaunch) {
  EXPECT_EQ(launch_problem(1, 1025),
            "launch in shared_kernel: a block of 1025 x 1 x 1 threads; at most 1024 x 1024 x 64, and 1024 of all");
  EXPECT_NE(launch_problem(1, dim3(32, 33)), "");
  EXPECT_NE(launch_problem(1, dim3(1, 1, 65)), "");
  EXPECT_NE(launch_problem(1, 0), "");
  EXPECT_NE(launch_problem(0, 1), "");
  EXPECT_NE(launch_problem(dim3(1, 65536), 1), "");
  EXPECT_NE(launch_problem(dim3(1, 1, 65536), 1), "");
  EXPECT_NE(launch_problem(1, 1, 48 * 1024 + 1), "");
  // Of 49,152 bytes, 32 are static.
  EXPECT_EQ(launch_problem(1, 1, 48 * 1024 - 32), "");
  EXPECT_NE(launch_problem(1, 1, 48 * 1024 - 28), "");
}

TEST(Host, MoreSharedMemoryIsAskedFor) {
  Buffer<int> out(8, "out");
  const auto run = [&](size_t bytes) {
    return caught([&] { launch(shared_kernel, 1, 8, bytes, nullptr, out.data()); });
  };
  EXPECT_TRUE(run(100 * 1024));
  EXPECT_EQ(cudaFuncSetAttribute(shared_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 200 * 1024),
            cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFuncSetAttribute(shared_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 101 * 1024), cudaSuccess);
  EXPECT_FALSE(run(100 * 1024));
  EXPECT_EQ(out[7], 2);
  EXPECT_TRUE(run(102 * 1024));
  EXPECT_EQ(cudaFuncSetAttribute(shared_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 0), cudaSuccess);
}

// A host that goes on learns what CUDA would tell, once; and the next launch works.
TEST(Host, FaultsAreToldAsCudaDoes) {
  (void)cudaGetLastError();
  std::vector<Report> reports;
  settings().on_fault = [&](const Report& report) { reports.push_back(report); };
  Buffer<int> out(4, "out");
  launch(fill_kernel, 1, 5, 0, nullptr, out.data(), 1);
  EXPECT_EQ(cudaPeekAtLastError(), cudaErrorIllegalAddress);
  EXPECT_STREQ(cudaGetErrorString(cudaGetLastError()), "an illegal memory access was encountered");
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  launch(fill_kernel, 1, 1025, 0, nullptr, out.data(), 1);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  ASSERT_EQ(reports.size(), 2u);
  EXPECT_EQ(reports[0].fault, Fault::kOutOfBounds);
  EXPECT_EQ(reports[0].place.thread, 4);
  launch(fill_kernel, 1, 4, 0, nullptr, out.data(), 7);
  settings().on_fault = nullptr;
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_EQ(reports.size(), 2u);
  EXPECT_EQ(out[3], 7);
}

TEST(Host, LaunchesAreAnnouncedAndPointersTranslated) {
  std::vector<std::string> names;
  settings().on_launch = [&](const LaunchInfo& info) { names.push_back(info.kernel); };
  static int* actual = nullptr;
  settings().translate = [](const void*) -> const void* { return actual; };
  Buffer<int> out(2, "out");
  actual = out.data();
  int unreachable = 0;
  launch(fill_kernel, 2, 1, 0, nullptr, &unreachable, 3);
  settings().on_launch = nullptr;
  settings().translate = nullptr;
  EXPECT_EQ(names, std::vector<std::string>{"fill_kernel"});
  EXPECT_EQ(out[1], 3);
  EXPECT_EQ(unreachable, 0);
}

struct Two {
  int* pointers[2];
};
__global__ void fill_two_kernel(const __grid_constant__ Two out, int value) { *out.pointers[0] = *out.pointers[1] = value; }

// Of a structure that is an array of pointers, each: told of as if it were an argument of its own.
TEST(Host, PointersOfAStructureAreTranslated) {
  std::vector<bool> kinds;
  settings().on_launch = [&](const LaunchInfo& info) {
    for (const auto& argument : info.arguments) kinds.push_back(argument.is_pointer);
  };
  static int* actual = nullptr;
  settings().translate = [](const void* p) -> const void* { return *static_cast<const int*>(p) == 0 ? actual : actual + 1; };
  Buffer<int> out(2, "out");
  actual = out.data();
  int names[2] = {0, 1};
  launch(fill_two_kernel, 1, 1, 0, nullptr, Two{{names, names + 1}}, 3);
  settings().on_launch = nullptr;
  settings().translate = nullptr;
  EXPECT_EQ(kinds, (std::vector<bool>{true, true, false}));
  EXPECT_EQ(out[0] + out[1], 6);
  EXPECT_EQ(names[1], 1);
}

TEST(Host, RegionsComeAndGo) {
  std::vector<int> memory(8);
  const auto run = [&] { return caught([&] { launch(fill_kernel, 1, 4, 0, nullptr, memory.data() + 2, 1); }); };
  EXPECT_TRUE(run());
  add_region(memory.data() + 2, 16, "a part");
  EXPECT_FALSE(run());
  add_region(memory.data() + 2, 15, "a smaller part");
  EXPECT_NE(run()->text.find("from byte 12 of a smaller part, which has 15"), std::string::npos) << run()->text;
  remove_region(memory.data() + 2);
  EXPECT_TRUE(run());
}

// What the compiler announces nothing of: a function of the C library, and a stack that ends.
__global__ void scan_kernel(const char* text, size_t bytes, size_t* out) {
  *out = static_cast<size_t>(static_cast<const char*>(std::memchr(text, 'x', bytes)) - text);
}

int deep(int depth) {
  volatile int own[64];
  own[0] = depth;
  return depth == 0 ? 0 : deep(depth - 1) + own[0];
}
__global__ void deep_kernel(int* out, int depth) { *out = deep(depth); }

TEST(Host, FaultsOfTheProcessorAreReports) {
  Buffer<char> text(64, "text");
  Buffer<size_t> out(1, "out");
  Buffer<int> number(1, "number");
  std::memset(text.data(), 'a', 63);
  text[63] = 'x';
  launch(scan_kernel, 1, 1, 0, nullptr, text.data(), size_t{64}, out.data());
  EXPECT_EQ(out[0], 63u);
#if defined(__x86_64__)
  text[63] = 'a';
  std::memset(text.data() + 64, 'a', 192);  // what lies between the region's end and the page's
  const auto report = caught([&] { launch(scan_kernel, 1, 1, 0, nullptr, text.data(), size_t{8192}, out.data()); });
  ASSERT_TRUE(report);
  EXPECT_EQ(report->fault, Fault::kOutOfBounds);
  EXPECT_NE(report->text.find("thread (0,0,0) of block (0,0,0) touches memory that is not there"), std::string::npos);
  const auto endless = caught([&] { launch(deep_kernel, 1, 1, 0, nullptr, number.data(), 1000000); });
  ASSERT_TRUE(endless);
  EXPECT_NE(endless->text.find("checker_host_test.cpp:"), std::string::npos) << endless->text;
  launch(deep_kernel, 1, 1, 0, nullptr, number.data(), 10);  // and life goes on
  EXPECT_EQ(number[0], 55);
#endif
}

TEST(Host, ThreadsOfTheHostTakeTurns) {
  std::vector<int> faults(4);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        Buffer<int> out(64, "out");
        if (caught([&] { launch(fill_kernel, 2, 32, 0, nullptr, out.data(), t); })) ++faults[t];
        if (caught([&] { launch(shared_kernel, 1, 8, 32, nullptr, out.data()); })) ++faults[t];
        if (out[63] != t || out[0] != 2) ++faults[t];
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(faults, std::vector<int>(4));
}

}  // namespace
}  // namespace cuda_on_cpu
