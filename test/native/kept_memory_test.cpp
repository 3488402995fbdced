// Large blocks that are kept between steps: found again, never more of them than was in use at once, none without an owner.
#include <ATen/ATen.h>
#include <c10/core/CPUAllocator.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "core/kept_memory.h"

namespace facellm {
namespace {

constexpr int64_t kMegabyte = 1 << 20;

at::Tensor block(int64_t megabytes) { return at::empty({megabytes * kMegabyte}, at::kByte); }
int64_t kept() { return kept_memory_stats().kept_bytes; }

TEST(KeptMemory, ABlockIsFoundAgainAndGivenBackWithTheLastOwner) {
  const void* first = nullptr;
  {
    const KeptMemory keeper(KeptMemory::kNoLimit);
    const int64_t used = kept_memory_stats().used_bytes;
    {
      const auto x = block(8);
      first = x.const_data_ptr();
      EXPECT_EQ(kept_memory_stats().used_bytes - used, 8 * kMegabyte);
    }
    EXPECT_EQ(kept_memory_stats().used_bytes, used);
    EXPECT_EQ(kept(), 8 * kMegabyte);
    const auto nearly = at::empty({7 * kMegabyte + 5}, at::kByte);  // up to an eighth smaller
    EXPECT_EQ(nearly.const_data_ptr(), first);
    EXPECT_EQ(kept(), 0);
    const auto other = block(8);
    EXPECT_NE(other.const_data_ptr(), first);
    {
      const KeptMemory second(4 * kMegabyte);
      block(8);  // the larger limit counts
      EXPECT_EQ(kept(), 8 * kMegabyte);
    }
    EXPECT_EQ(kept(), 0);  // whoever goes on begins anew
    block(8);
    EXPECT_EQ(kept(), 8 * kMegabyte);
    KeptMemory::release();
    EXPECT_EQ(kept(), 0);
  }
  EXPECT_EQ(kept(), 0);
  block(8);
  EXPECT_EQ(kept(), 0);
}

TEST(KeptMemory, NeverMoreThanWasInUseAtOnceNorThanItsLimit) {
  const KeptMemory keeper(KeptMemory::kNoLimit);
  block(6);
  EXPECT_EQ(kept(), 6 * kMegabyte);
  {
    const auto other = block(4);  // does not fit into 6 by an eighth: 10 together were never in use
    EXPECT_EQ(kept(), 0);
    const auto more = block(2);
  }
  EXPECT_EQ(kept(), 6 * kMegabyte);
  block(3);  // served by neither 2 nor 4: with 3 in use 3 may be kept, so both go, the older first
  EXPECT_EQ(kept(), 3 * kMegabyte);
}

TEST(KeptMemory, TheOldestGoFirstBeyondItsLimit) {
  const KeptMemory keeper(5 * kMegabyte);
  {
    auto a = block(2), b = block(2), c = block(2);
    const void* const oldest = a.const_data_ptr();
    a = at::Tensor(), b = at::Tensor(), c = at::Tensor();
    EXPECT_EQ(kept(), 4 * kMegabyte);
    const auto x = block(2), y = block(2);
    EXPECT_NE(x.const_data_ptr(), oldest);
    EXPECT_NE(y.const_data_ptr(), oldest);
  }
  block(1 + 8);  // alone beyond it
  EXPECT_EQ(kept(), 0);
}

TEST(KeptMemory, SmallBlocksAndGrowthAreLibtorchsOwn) {
  const KeptMemory keeper(KeptMemory::kNoLimit);
  const int64_t used = kept_memory_stats().used_bytes;
  auto* const allocator = c10::GetCPUAllocator();
  for (const size_t bytes : {size_t{0}, size_t{64}, size_t{2 << 20}}) allocator->raw_deallocate(allocator->raw_allocate(bytes));
  const auto small = at::empty({KeptMemory::kLargeBlock - 1}, at::kByte);
  EXPECT_EQ(kept_memory_stats().used_bytes, used);
  auto grown = at::arange(1 << 18, at::kInt);  // exactly a large block
  EXPECT_EQ(kept_memory_stats().used_bytes, used + kMegabyte);
  grown.resize_({1 << 20});
  EXPECT_EQ(kept_memory_stats().used_bytes, used + 4 * kMegabyte);
  EXPECT_TRUE(at::equal(grown.narrow(0, 0, 1 << 18), at::arange(1 << 18, at::kInt)));
}

TEST(KeptMemory, ManyThreadsShareItAndNothingIsHandedOutTwice) {
  const KeptMemory keeper(64 * kMegabyte);
  const auto before = kept_memory_stats();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 200; ++i) {
        const auto x = block(1 + (t + i) % 3), y = block(1);
        x.fill_(t), y.fill_(t + 100);
        ASSERT_TRUE((x == t).all().item<bool>() && (y == t + 100).all().item<bool>());
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(kept_memory_stats().used_bytes, before.used_bytes);
}

TEST(KeptMemory, WhatIsTooLargeFailsAsBeforeAndIsNotCounted) {
  const KeptMemory keeper(KeptMemory::kNoLimit);
  const auto before = kept_memory_stats();
  EXPECT_THROW(at::empty({int64_t{1} << 60}, at::kByte), c10::Error);
  EXPECT_EQ(kept_memory_stats().used_bytes, before.used_bytes);
}

}  // namespace
}  // namespace facellm
