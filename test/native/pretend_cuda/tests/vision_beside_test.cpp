// Pictures on a stream of their own: answers go on meanwhile, and nothing touches what the other stream is at (stream_order.h
// complains, and the process fails).
#include <gtest/gtest.h>

#include "pretend_cuda.h"
#include "requests.h"

namespace pretend_cuda {
namespace {

facellm::ImageInput picture_of(int number) {
  auto own = picture();
  own.key = "picture " + std::to_string(number);
  auto pixels = *own.rgb;
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<uint8_t>(i * (5 + static_cast<size_t>(number)));
  own.rgb = std::make_shared<const std::vector<uint8_t>>(std::move(pixels));
  return own;
}

facellm::EmbedRequest embedding(int number) { return {{picture_of(number)}, {}}; }

struct LateEvents {
  explicit LateEvents(int queries) { finish_events_after(queries); }
  ~LateEvents() { finish_events_after(0); }
};

TEST(VisionBeside, AnswersGoOnWhileATowerComputes) {
  const auto model = load("bf16"), alone = load("bf16");
  const auto ids = answer(*alone, {generation(prompt(9, false), 60)});
  facellm::Driver driver(*model);
  const auto answering = driver.submit(generation(prompt(9, false), 60));
  for (int step = 0; step < 4; ++step) model->step();
  auto& tokens = driver.client->tokens;
  const std::pair row{answering->id, 0};
  // Without a graph, recorded, and replayed.
  for (int number = 0; number < 4; ++number) {
    const LateEvents late(6);
    const auto wanted = facellm::Driver(*alone).answer(embedding(number)).at(0).data;
    const auto before = tokens.at(row).size();
    const auto seen = driver.submit(embedding(number));
    int steps = 0;
    while (!seen->is_over()) {
      model->step();
      ++steps;
    }
    EXPECT_EQ(steps, 7) << number;
    EXPECT_GE(tokens.at(row).size(), before + 6) << number;
    ASSERT_TRUE(seen->result);
    EXPECT_EQ(seen->result->at(0).data, wanted) << number;
  }
  driver.run();
  EXPECT_EQ(tokens.at(row), ids);
}

TEST(VisionBeside, AQuestionAboutThePictureIsTheSame) {
  const auto model = load("bf16"), alone = load("bf16");
  const auto ids = answer(*alone, {generation(prompt(12, true), 8)});
  facellm::Driver driver(*model);
  driver.submit(generation(prompt(9, false), 40));
  for (int step = 0; step < 4; ++step) model->step();
  const LateEvents late(5);
  const auto asked = driver.submit(generation(prompt(12, true), 8));
  driver.run();
  ASSERT_TRUE(asked->result);
  EXPECT_EQ((driver.client->tokens.at({asked->id, 0})), ids);
}

TEST(VisionBeside, WithoutOthersOneStepWaitsForIt) {
  const auto model = load("bf16");
  const LateEvents late(100);
  facellm::Driver driver(*model);
  const auto seen = driver.submit(embedding(1));
  model->step();
  EXPECT_TRUE(seen->is_over());
}

// The second pass of a number of tiles is recorded: wherever memory ends in it, the picture is seen or its request fails, and the next is.
TEST(VisionBeside, WithoutRoomForAGraphPicturesAreSeenAllTheSame) {
  const auto alone = load("bf16");
  const auto wanted = facellm::Driver(*alone).answer(embedding(2)).at(0).data;
  int went_without = 0;
  for (int number = 0;; ++number) {
    const auto model = load("bf16");
    facellm::Driver driver(*model);
    (void)driver.answer(embedding(1));
    fail_allocation(number);
    try {
      EXPECT_EQ(driver.answer(embedding(2)).at(0).data, wanted) << number;
      went_without += has_allocation_failed();
    } catch (const facellm::Error& error) {
      EXPECT_EQ(error.code(), facellm::ErrorCode::kOutOfMemory) << number;
    }
    const bool has_failed = has_allocation_failed();
    fail_allocation(-1);
    model->clear_caches();
    EXPECT_EQ(driver.answer(embedding(2)).at(0).data, wanted) << number;
    if (!has_failed) break;
    ASSERT_LT(number, 1000);
  }
  EXPECT_GT(went_without, 2);
}

// Who goes leaves no half of a pass behind, and another kind of work waits for one.
TEST(VisionBeside, APassThatNobodyWantsAndWorkBehindIt) {
  const auto model = load("bf16"), alone = load("bf16");
  facellm::Driver driver(*model);
  (void)driver.answer(embedding(1));
  const auto answering = driver.submit(generation(prompt(9, false), 60));
  for (int step = 0; step < 4; ++step) model->step();
  const LateEvents late(50);
  const auto leaver = driver.submit(embedding(2));
  model->step();
  leaver->cancellation->request();
  const auto stays = driver.submit(embedding(3));
  model->step();
  EXPECT_TRUE(leaver->error);
  const auto logits = model->last_logits(prompt(12, true), {}, 1, {});
  answering->cancellation->request();
  driver.run();
  ASSERT_TRUE(stays->result);
  EXPECT_EQ(stays->result->at(0).data, facellm::Driver(*alone).answer(embedding(3)).at(0).data);
  EXPECT_EQ(logits.data, alone->last_logits(prompt(12, true), {}, 1, {}).data);
  // The model goes with a pass under way.
  driver.submit(generation(prompt(9, false), 60));
  for (int step = 0; step < 4; ++step) model->step();
  driver.submit(embedding(4));
  model->step();
}

// Who comes when a pass of the plain tower goes, under adapters of the tower: those are his.
TEST(VisionBeside, AnotherTowersPictureBehindAPassThatGoes) {
  facellm::TemporaryFolder folder;
  const auto opened = facellm::open_model(facellm::tiny_model(facellm::kTinyWeights, "fp32"), [](int64_t, int64_t) {}, {});
  at::manual_seed(7);
  const auto source = facellm::random_adapter(*opened.model, folder.file("vision.safetensors"), {"vision_tower."}, 4, false);
  const auto under = [&](facellm::FaceLlm& model) {
    auto request = embedding(5);
    request.adapters = {model.load_adapter(source).id};
    return request;
  };
  const auto alone = load("bf16"), model = load("bf16");
  const auto wanted = facellm::Driver(*alone).answer(under(*alone)).at(0).data;
  EXPECT_NE(wanted, facellm::Driver(*alone).answer(embedding(5)).at(0).data);
  facellm::Driver driver(*model);
  driver.submit(generation(prompt(9, false), 60));
  for (int step = 0; step < 4; ++step) model->step();
  const LateEvents late(50);
  const auto leaver = driver.submit(embedding(2));
  model->step();
  leaver->cancellation->request();
  const auto seen = driver.submit(under(*model));
  while (!seen->is_over()) model->step();
  ASSERT_TRUE(seen->result);
  EXPECT_EQ(seen->result->at(0).data, wanted);
}

}  // namespace
}  // namespace pretend_cuda
