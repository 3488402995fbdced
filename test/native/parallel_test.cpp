// at::parallel_for is a template: compiled without OpenMP it works, on one thread.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <array>
#include <thread>

namespace facellm {
namespace {

TEST(ParallelTest, WorkIsSharedOutAmongThreads) {
  const int threads = at::get_num_threads();
  at::set_num_threads(2);
  std::array<std::thread::id, 2> ids;
  at::parallel_for(0, 2, 1, [&](int64_t share, int64_t) { ids[share] = std::this_thread::get_id(); });
  at::set_num_threads(threads);
  EXPECT_EQ(ids[0], std::this_thread::get_id());
  EXPECT_NE(ids[1], ids[0]);
  EXPECT_NE(ids[1], std::thread::id());
}

}  // namespace
}  // namespace facellm
