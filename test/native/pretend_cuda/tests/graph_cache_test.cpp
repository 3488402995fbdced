// Which work is recorded, which graphs are kept, and what goes without one.
#include "core/graph_cache.h"

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include <stdexcept>

#include "core/device_stream.h"
#include "pretend_cuda.h"

namespace pretend_cuda {
namespace {

struct Io {
  at::Tensor value;
};
using Cache = facellm::GraphCache<int, Io>;

at::Tensor on_device() { return at::zeros({4}, at::TensorOptions(at::kFloat).device(at::kCUDA)); }

Cache::Recorded* recorded(Cache& cache, int key) {
  return cache.record(key, [] { return Io{on_device()}; }, [](Io& io) { io.value.add_(1); });
}

class GraphCache : public testing::Test {
 protected:
  facellm::DeviceStream stream_{at::Device(at::kCUDA, 0)};
};

TEST_F(GraphCache, RecordsTheRunAfterThoseBefore) {
  Cache cache(2, 4);
  EXPECT_EQ(cache.find(1), nullptr);
  EXPECT_FALSE(cache.is_due(1));
  EXPECT_FALSE(cache.is_due(1));
  EXPECT_FALSE(cache.is_due(2)) << "another key's runs are its own";
  EXPECT_TRUE(cache.is_due(1));
  const auto scope = stream_.enter();
  auto* const own = recorded(cache, 1);
  ASSERT_NE(own, nullptr);
  EXPECT_EQ(cache.find(1), own);
  own->graph->replay();
  cache.clear();
  EXPECT_EQ(cache.find(1), nullptr);
  EXPECT_FALSE(cache.is_due(1)) << "counted anew";
}

TEST_F(GraphCache, KeepsThoseUsedLast) {
  Cache other(1, 2), cache(1, 2, &other);
  const auto scope = stream_.enter();
  for (const int key : {1, 2}) ASSERT_NE(recorded(cache, key), nullptr);
  ASSERT_NE(cache.find(1), nullptr);
  ASSERT_NE(recorded(cache, 3), nullptr);
  EXPECT_EQ(cache.find(2), nullptr);
  EXPECT_FALSE(cache.is_due(2)) << "it comes again as one that is new";
  EXPECT_NE(cache.find(1), nullptr);
  EXPECT_NE(cache.find(3), nullptr);
  ASSERT_NE(recorded(other, 2), nullptr) << "in memory that both share";
}

TEST_F(GraphCache, WhatCannotBeRecordedGoesWithout) {
  Cache cache(1, 2);
  const auto scope = stream_.enter();
  const auto none = [] { return Io{}; };
  EXPECT_EQ(cache.record(1, []() -> Io { throw std::runtime_error("no room"); }, [](Io&) {}), nullptr);
  EXPECT_EQ(cache.record(2, none, [](Io&) { throw std::runtime_error("no memory"); }), nullptr);
  ASSERT_NE(recorded(cache, 3), nullptr);
  cache.go_without(3);
  for (const int key : {1, 2, 3}) {
    EXPECT_EQ(cache.find(key), nullptr) << key;
    for (int run = 0; run < 5; ++run) EXPECT_FALSE(cache.is_due(key)) << key;
  }
  cache.clear();
  EXPECT_FALSE(cache.is_due(1));
  EXPECT_TRUE(cache.is_due(1)) << "memory may have come back";
}

TEST_F(GraphCache, CountsNoMoreThanSoManyKeys) {
  Cache cache(1, 2);
  // Work that comes but once, and work that goes without: 1,024 of either, and one more.
  for (int key = 0; key < 1024; ++key) cache.is_due(key);
  cache.go_without(1024);
  EXPECT_FALSE(cache.is_due(1025)) << "all else is forgotten";
  EXPECT_FALSE(cache.is_due(0)) << "and counted anew";
  EXPECT_FALSE(cache.is_due(1024));
  EXPECT_TRUE(cache.is_due(1024)) << "what went without, too";
}

}  // namespace
}  // namespace pretend_cuda
