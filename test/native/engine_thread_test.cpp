// Engine threads: one a device, the same for everybody, none of which waits for another's job.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <vector>

#include "binding/engine_thread.h"

namespace facellm {
namespace {

using namespace std::chrono_literals;

TEST(EngineThread, IsOneADevice) {
  const auto cpu = EngineThread::of("cpu"), gpu = EngineThread::of("cuda:0");
  EXPECT_EQ(cpu, EngineThread::of("cpu"));
  EXPECT_NE(cpu, gpu);
}

TEST(EngineThread, ADeviceDoesNotWaitForAnother) {
  const auto cpu = EngineThread::of("cpu"), gpu = EngineThread::of("cuda:0");
  std::promise<void> has_come, is_done;
  bool was_in_time = false;
  // The job of the one ends when that of the other has run: on one thread it would wait in vain.
  gpu->post(1, [&] {
    was_in_time = has_come.get_future().wait_for(30s) == std::future_status::ready;
    is_done.set_value();
  });
  cpu->post(2, [&] { has_come.set_value(); });
  is_done.get_future().wait();
  EXPECT_TRUE(was_in_time);
}

TEST(EngineThread, JobsOfADeviceRunInTheirOrder) {
  const auto cpu = EngineThread::of("cpu");
  std::vector<int> order;
  std::promise<void> is_done;
  for (int job = 0; job < 20; ++job) cpu->post(static_cast<uint64_t>(job), [&order, job] { order.push_back(job); });
  cpu->post(20, [&] { is_done.set_value(); });
  is_done.get_future().wait();
  ASSERT_EQ(order.size(), 20u);
  EXPECT_TRUE(std::ranges::is_sorted(order));
}

}  // namespace
}  // namespace facellm
