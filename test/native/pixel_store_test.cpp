// Pictures' memory that is used again: what is in it is the new picture alone, and what is kept has a bound.
#include "image/pixel_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>

namespace facellm {
namespace {

constexpr size_t kLarge = size_t{3} << 20;

std::vector<uint8_t> filled(size_t size, uint8_t value) { return std::vector<uint8_t>(size, value); }

TEST(PixelStore, AnotherPictureOfItsSizeTakesTheMemoryThatOneHasLeft) {
  auto first = copy_pixels(filled(kLarge, 1));
  const auto* const place = first->data();
  const auto beside = copy_pixels(filled(kLarge, 2));
  EXPECT_NE(beside->data(), place);
  first.reset();
  const auto second = copy_pixels(filled(kLarge - 5, 3));
  EXPECT_EQ(second->data(), place);
  EXPECT_EQ(*second, filled(kLarge - 5, 3));
  EXPECT_EQ(*beside, filled(kLarge, 2));
}

TEST(PixelStore, ASmallPictureDoesNotTakeALargeOnesMemory) {
  const auto* const place = copy_pixels(filled(8 * kLarge, 1))->data();
  EXPECT_NE(copy_pixels(filled(kLarge, 2))->data(), place);
  EXPECT_EQ(copy_pixels(filled(8 * kLarge, 3))->data(), place);
}

TEST(PixelStore, KeepsNoMoreThanItsBound) {
  std::vector<std::shared_ptr<const std::vector<uint8_t>>> all;
  for (int i = 0; i < 40; ++i) all.push_back(copy_pixels(filled(kLarge, 1)));
  all.clear();
  EXPECT_LE(idle_pixel_bytes(), kMostIdlePixelBytes);
  EXPECT_GE(idle_pixel_bytes(), kMostIdlePixelBytes - 8 * kLarge);
}

TEST(PixelStore, FromSeveralThreadsAtATime) {
  std::atomic<int> wrong = 0;
  const auto work = [&](uint8_t value) {
    for (int i = 0; i < 50; ++i) {
      const auto pixels = copy_pixels(filled(kLarge / 2 + static_cast<size_t>(i), value));
      wrong += !std::ranges::all_of(*pixels, [&](uint8_t one) { return one == value; });
    }
  };
  {
    std::vector<std::jthread> threads;
    for (uint8_t value = 1; value <= 4; ++value) threads.emplace_back(work, value);
  }
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace facellm
