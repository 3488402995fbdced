// Raising the flag ends a decode loop before its next step is done, and a load before its next batch.
#include <gtest/gtest.h>

#include "core/error.h"
#include "generation/face_llm.h"
#include "tiny_model.h"

namespace facellm {
namespace {

GenerateRequest endless() {
  GenerateRequest request{};
  request.prompts = {{{1, 2, 3}, {}}};
  request.sampling = {true, 1.0, 0, 1.0, 0.0, 1.0, 0};
  request.max_new_tokens = 10'000;
  return request;
}

TEST(Cancellation, NoTokenComesAfterTheStepThatRaisedIt) {
  const auto model = FaceLlm::load(tiny_model(kTinyWeights, "fp32"), [](int64_t, int64_t) {}, {});
  for (const int64_t stop_at : {1, 2, 7}) {
    Cancellation cancellation;
    int64_t tokens = 0;
    const auto result = model->generate(
        endless(),
        [&](std::span<const TokenEvent> events) {
          tokens += static_cast<int64_t>(events.size());
          if (tokens == stop_at) cancellation.request();
        },
        cancellation);
    EXPECT_EQ(tokens, stop_at);
    EXPECT_EQ(result.rows.at(0).generated_tokens, stop_at);
    EXPECT_EQ(result.rows.at(0).finish_reason, FinishReason::kCancelled);
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
  EXPECT_TRUE(is_cancelled([&] {
    model->generate(endless(), [](auto) { ADD_FAILURE() << "a token came"; }, cancellation);
  }));
}

}  // namespace
}  // namespace facellm
