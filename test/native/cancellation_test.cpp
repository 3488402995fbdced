// Raising the flag ends a decode loop before its next step is done, and a load before its next batch.
#include <gtest/gtest.h>

#include "core/error.h"
#include "engine_driver.h"
#include "generation/face_llm.h"
#include "tiny_model.h"

namespace facellm {
namespace {

GenerateRequest endless() {
  GenerateRequest request{};
  request.prompt = {{1, 2, 3}, {}};
  request.rows = 1;
  request.sampling.is_greedy = true;
  request.max_new_tokens = 10'000;
  return request;
}

TEST(Cancellation, NoTokenComesAfterTheStepThatRaisedIt) {
  const auto model = FaceLlm::load(tiny_model(kTinyWeights, "fp32"), [](int64_t, int64_t) {}, {});
  for (const int64_t stop_at : {1, 2, 7}) {
    Driver driver(*model);
    const auto outcome = driver.submit(endless());
    int64_t tokens = 0;
    driver.client->on_tokens = [&](const auto& events) {
      tokens += static_cast<int64_t>(events.size());
      if (tokens == stop_at) outcome->cancellation->request();
    };
    driver.run();
    ASSERT_TRUE(outcome->result);
    EXPECT_EQ(tokens, stop_at);
    EXPECT_EQ(outcome->result->rows.at(0).generated_tokens, stop_at);
    EXPECT_EQ(outcome->result->rows.at(0).finish_reason, FinishReason::kCancelled);
  }
}

TEST(Cancellation, RaisedBeforehandStopsLoadingAndPrefill) {
  Cancellation cancellation;
  const auto model = FaceLlm::load(tiny_model(kTinyWeights, "fp32"), [](int64_t, int64_t) {}, cancellation);
  cancellation.request();
  const auto is_cancelled = [](auto&& work) {
    try {
      work();
      return false;
    } catch (const Error& error) {
      return error.code() == ErrorCode::kCancelled;
    }
  };
  EXPECT_TRUE(is_cancelled([&] {
    FaceLlm::load(tiny_model(kTinyWeights, "fp32"), [](int64_t, int64_t) { ADD_FAILURE() << "a batch was read"; },
                  cancellation);
  }));
  Driver driver(*model);
  const auto outcome = driver.submit(endless());
  outcome->cancellation->request();
  driver.run();
  ASSERT_TRUE(outcome->error);
  EXPECT_EQ(outcome->error->code(), ErrorCode::kCancelled);
  EXPECT_TRUE(driver.client->tokens.empty());
}

}  // namespace
}  // namespace facellm
