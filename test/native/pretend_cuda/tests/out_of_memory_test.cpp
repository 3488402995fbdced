// The device's memory runs out at one allocation of a request after the other: the right error, then right answers, no
// leak. At every one with FACELLM_EVERY_ALLOCATION=1, which takes minutes; else at every 13th.
#include <gtest/gtest.h>

#include <cstdlib>

#include "core/translate_exception.h"
#include "pretend_cuda.h"
#include "requests.h"

namespace pretend_cuda {
namespace {

// Runs `work` until no allocation fails any more, and returns how many there are. `recover` follows each failure.
template <typename Work, typename Recover>
int64_t at_every_allocation(Work work, Recover recover) {
  const int64_t step = std::getenv("FACELLM_EVERY_ALLOCATION") != nullptr ? 1 : 13;
  for (int64_t number = 0;; number += step) {
    fail_allocation(number);
    try {
      work();
    } catch (...) {
      const auto error = facellm::translate_current_exception();
      EXPECT_EQ(error.code(), facellm::ErrorCode::kOutOfMemory) << "at allocation " << number << ": " << error.what();
    }
    const bool has_failed = has_allocation_failed();  // also where nobody was the worse for it
    fail_allocation(-1);
    if (!has_failed) return number;
    recover();
    if (testing::Test::HasFailure()) return -1;
  }
}

// Graphs of steps and of a picture, caches, rings and all.
TEST(DeviceMemory, AModelThatEndsGivesBackAllOfIt) {
  {
    const auto model = load("bf16");
    for (int time = 0; time < 3; ++time) {
      answer(*model, {generation(prompt(4, true), 6), generation(prompt(6, false), 6)});
      facellm::Driver(*model).answer(facellm::ChooseRequest{prompt(4, true), {}, {{5}, {6, 7}}, true});
      model->clear_caches();
    }
    EXPECT_GT(live_bytes(0), 0);
  }
  EXPECT_EQ(live_bytes(0), 0);
}

// Tiles that were in the tower when memory ran out, of a request that is over: nothing of them stays.
TEST(DeviceMemory, APictureThatFailedLeavesNothingOnTheDevice) {
  const auto model = load("bf16");
  facellm::Driver driver(*model);
  const auto picture_of = [](uint8_t shade) {
    auto own = picture();
    own.key = "shade " + std::to_string(shade);
    own.columns = own.rows = 3;  // more tiles than a graph of the tower takes
    own.rgb = std::make_shared<const std::vector<uint8_t>>(70 * 50 * 3, shade);
    return own;
  };
  driver.answer(facellm::EmbedRequest{{picture_of(1)}, {}});
  model->clear_caches();
  const int64_t live = live_bytes(0);
  int64_t failures = 0;
  for (int64_t number = 0;; number += 5) {
    fail_allocation(number);
    const auto outcome = driver.submit(facellm::EmbedRequest{{picture_of(2)}, {}});
    driver.run();
    fail_allocation(-1);
    model->clear_caches();
    if (!outcome->error) break;
    ++failures;
    ASSERT_EQ(live_bytes(0), live) << "at allocation " << number;
  }
  EXPECT_GT(failures, 5);
}

TEST(OutOfDeviceMemory, AnswersAreRightAfterwards) {
  const auto model = load("bf16");
  const std::vector request{generation(prompt(4, true), 3), generation(prompt(6, false), 3)};
  const auto expected = answer(*model, request);
  // Graphs of one row, of two and of a picture keep their memory: they are made before it is counted, whichever rows a failure
  // leaves.
  for (int more = 0; more < 2; ++more) {
    model->clear_caches();
    EXPECT_EQ(answer(*model, request), expected);
    answer(*model, {generation(prompt(6, false), 4)});
  }
  model->clear_caches();
  const int64_t live = live_bytes(0);
  const int64_t failures = at_every_allocation([&] { answer(*model, request); model->clear_caches(); },
                                               [&] {
                                                 EXPECT_EQ(answer(*model, request), expected);
                                                 model->clear_caches();
                                                 EXPECT_EQ(live_bytes(0), live);
                                               });
  EXPECT_GT(failures, 50);
}

// The second time a step or a picture is recorded as a graph: where memory runs out in that, the next time records it.
TEST(OutOfDeviceMemory, AGraphThatCouldNotBeRecorded) {
  const std::vector request{generation(prompt(4, true), 3)};
  int64_t failures = 0;
  for (int64_t number = 0;; number += 13) {
    const auto model = load("bf16");
    const auto expected = answer(*model, request);
    model->clear_caches();
    fail_allocation(number);
    try {
      EXPECT_EQ(answer(*model, request), expected);
    } catch (...) {
      const auto error = facellm::translate_current_exception();
      EXPECT_EQ(error.code(), facellm::ErrorCode::kOutOfMemory) << "at allocation " << number << ": " << error.what();
    }
    const bool has_failed = has_allocation_failed();
    fail_allocation(-1);
    failures += has_failed;
    for (int more = 0; more < 3; ++more) {
      model->clear_caches();
      EXPECT_EQ(answer(*model, request), expected) << "after allocation " << number;
    }
    if (!has_failed || HasFailure()) break;
  }
  EXPECT_GT(failures, 5);
}

TEST(OutOfDeviceMemory, TrainingGoesOnAsIfNothingHadHappened) {
  const auto trainer = lora_trainer("bf16");
  // At a rate of zero parameters stay: loss and gradients are the same each time, or something failed has left a trace.
  const auto update = [&] {
    const double loss = trainer->accumulate(batch(), {}).loss;
    return std::pair(loss, trainer->update({0.0, 1.0}, {}).grad_norm);
  };
  const auto expected = update();
  const int64_t live = live_bytes(0);
  const int64_t failures = at_every_allocation(update, [&] {
    EXPECT_EQ(update(), expected);
    EXPECT_EQ(live_bytes(0), live);
  });
  EXPECT_GT(failures, 200);
}

}  // namespace
}  // namespace pretend_cuda
