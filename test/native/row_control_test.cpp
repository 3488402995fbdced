// Masks that come from outside, in time, late, wrong or never, and rows that are wanted no longer: each is its own row's
// matter, and nothing of it stays.
#include <gtest/gtest.h>

#include <algorithm>

#include "engine_driver.h"
#include "generation/step_engine.h"
#include "model/open_model.h"
#include "tiny_model.h"

namespace facellm {
namespace {

constexpr int64_t kBlockBytes = 2 * 2 * 2 * 16 * 4 * 64;  // layers, keys and values, heads, size, fp32, slots
const SamplingOptions kGreedy{.is_greedy = true};
const SamplingOptions kDrawn{.temperature = 1.5, .seed = 7};

class RowControlTest : public testing::Test {
 protected:
  explicit RowControlTest(int64_t blocks = 512)
      : opened_(open_model(load(blocks), [](int64_t, int64_t) {}, {})), engine_(*opened_.model, load(blocks), [] {}) {}

  static LoadRequest load(int64_t blocks) {
    auto request = tiny_model(kTinyWeights, "fp32");
    request.kv_bytes = blocks * kBlockBytes;
    request.prefix_cache_bytes = 1 << 24;
    return request;
  }

  static GenerateRequest asks(int32_t first, int64_t count, SamplingOptions sampling = kGreedy, int64_t rows = 1) {
    std::vector<int32_t> ids;
    for (int32_t i = 0; i < 60; ++i) ids.push_back(10 + (first * 131 + i * 17) % 2000);
    return {{std::move(ids), {}}, {}, sampling, rows, 0, count, {}, true};
  }
  static GenerateRequest masked(GenerateRequest request) {
    request.is_masked = true;
    return request;
  }

  // Every id of the vocabulary whose remainder by `of` is 0.
  TokenMask multiples(int32_t of) const {
    const auto vocabulary = opened_.model->config().text.vocab_size;
    TokenMask mask(static_cast<size_t>((vocabulary + 31) / 32));
    for (int32_t id = 0; id < vocabulary; id += of) mask[static_cast<size_t>(id) / 32] |= uint32_t{1} << (id % 32);
    return mask;
  }

  // Gives each row of `outcome` the same mask for every token, as its tokens come.
  void keep_masking(const std::shared_ptr<Outcome<GenerateResult>>& outcome, int32_t rows, TokenMask mask) {
    for (int32_t row = 0; row < rows; ++row) outcome->control->set_mask(row, 0, mask);
    auto before = driver_.client->on_tokens;
    driver_.client->on_tokens = [this, outcome, before, mask](const std::vector<TokenEvent>& events) {
      if (before) before(events);
      for (const auto& event : events) {
        if (event.request != outcome->id) continue;
        const auto count = tokens(*outcome, event.row).size();
        outcome->control->set_mask(event.row, static_cast<int64_t>(count), mask);
      }
    };
  }

  const std::vector<int32_t>& tokens(const Outcome<GenerateResult>& outcome, int32_t row = 0) {
    return driver_.client->tokens[{outcome.id, row}];
  }

  void expect_nothing_held() {
    const auto stats = engine_.stats();
    EXPECT_EQ(stats.used_blocks, 0);
    EXPECT_EQ(stats.running_rows, 0);
    EXPECT_EQ(stats.waiting_requests, 0);
  }

  OpenedModel opened_;
  StepEngine engine_;
  Driver<StepEngine> driver_{engine_};
};

class TightPool : public RowControlTest {
 protected:
  TightPool() : RowControlTest(12) {}
};

TEST_F(RowControlTest, EveryTokenOfEveryRowIsOneThatItsMaskAllows) {
  const auto thirds = driver_.submit(masked(asks(1, 12, kDrawn, 3)));
  const auto sevenths = driver_.submit(masked(asks(2, 12)));
  const auto free = driver_.submit(asks(3, 12));
  keep_masking(thirds, 3, multiples(3));
  keep_masking(sevenths, 1, multiples(7));
  driver_.run();
  ASSERT_TRUE(thirds->result && sevenths->result && free->result);
  for (int32_t row = 0; row < 3; ++row) {
    ASSERT_EQ(tokens(*thirds, row).size(), 12u);
    for (const int32_t id : tokens(*thirds, row)) EXPECT_EQ(id % 3, 0);
  }
  ASSERT_EQ(tokens(*sevenths).size(), 12u);
  for (const int32_t id : tokens(*sevenths)) EXPECT_EQ(id % 7, 0);
  EXPECT_EQ(tokens(*free), driver_.ids(asks(3, 12)));
  expect_nothing_held();
}

TEST_F(RowControlTest, ARowWithoutItsMaskWaitsAloneAndGoesOnWhenItComes) {
  const auto late = driver_.submit(masked(asks(1, 4)));
  const auto other = driver_.submit(asks(2, 30));
  driver_.run();
  EXPECT_TRUE(other->result);
  EXPECT_FALSE(late->is_over());
  EXPECT_TRUE(tokens(*late).empty());
  // Of another token: it is not this one's.
  late->control->set_mask(0, 1, multiples(2));
  driver_.run();
  EXPECT_TRUE(tokens(*late).empty());
  keep_masking(late, 1, {});
  driver_.run();
  ASSERT_TRUE(late->result);
  EXPECT_EQ(tokens(*late), driver_.ids(asks(1, 4)));
  expect_nothing_held();
}

TEST_F(RowControlTest, ARowThatWaitsForItsMaskCanBeCancelled) {
  const auto late = driver_.submit(masked(asks(1, 4)));
  driver_.run();
  late->cancellation->request();
  driver_.run();
  EXPECT_TRUE(late->is_over());
  expect_nothing_held();
}

TEST_F(RowControlTest, AMaskThatForbidsEverythingOrIsTooShortEndsItsRowAlone) {
  const auto whole = multiples(2);
  const TokenMask wrong[] = {TokenMask(whole.size(), 0), TokenMask(whole.begin(), whole.end() - 1)};
  for (const auto& mask : wrong) {
    const auto outcome = driver_.submit(masked(asks(1, 8, kDrawn, 2)));
    const auto other = driver_.submit(asks(2, 8));
    keep_masking(outcome, 2, whole);
    outcome->control->set_mask(1, 0, mask);
    driver_.run();
    ASSERT_TRUE(outcome->result && other->result);
    const auto& rows = outcome->result->rows;
    EXPECT_EQ(rows[0].finish_reason, FinishReason::kLength);
    ASSERT_EQ(rows[1].finish_reason, FinishReason::kFailed);
    EXPECT_EQ(rows[1].error->code(), ErrorCode::kInvalidArgument);
    EXPECT_EQ(tokens(*outcome, 0).size(), 8u);
    EXPECT_TRUE(tokens(*outcome, 1).empty());
    expect_nothing_held();
    driver_.client->on_tokens = nullptr;
  }
}

TEST_F(RowControlTest, AnEndedRowLeavesTheOthersAndItsBlocksAreFree) {
  const auto outcome = driver_.submit(asks(1, 200, kDrawn, 3));
  driver_.client->on_tokens = [&](const std::vector<TokenEvent>& events) {
    for (const auto& event : events) {
      if (event.row == 1 && tokens(*outcome, 1).size() == 3) outcome->control->end(1);
    }
  };
  int64_t most = 0;
  while (engine_.step()) most = std::max(most, engine_.stats().used_blocks);
  ASSERT_TRUE(outcome->result);
  const auto& rows = outcome->result->rows;
  EXPECT_EQ(rows[1].finish_reason, FinishReason::kCancelled);
  EXPECT_GE(tokens(*outcome, 1).size(), 3u);
  EXPECT_LE(tokens(*outcome, 1).size(), 4u);
  for (const int32_t row : {0, 2}) EXPECT_EQ(tokens(*outcome, row).size(), 200u);
  // Two rows of 260 tokens, five blocks each; the third would have as many.
  EXPECT_LE(most, 11);
  expect_nothing_held();
  outcome->control->end(0);  // of a row that has ended: no effect
  driver_.run();
}

TEST_F(RowControlTest, EndingAllRowsEndsTheRequest) {
  const auto outcome = driver_.submit(asks(1, 200, kDrawn, 2));
  driver_.client->on_tokens = [&](const std::vector<TokenEvent>& events) {
    for (const auto& event : events) outcome->control->end(event.row);
  };
  driver_.run();
  ASSERT_TRUE(outcome->result);
  for (const auto& row : outcome->result->rows) EXPECT_EQ(row.finish_reason, FinishReason::kCancelled);
  expect_nothing_held();
}

TEST_F(TightPool, MaskedRowsThatLoseTheirBlocksGiveTheSameTokens) {
  std::vector<std::shared_ptr<Outcome<GenerateResult>>> crowded;
  for (int32_t i = 0; i < 4; ++i) {
    crowded.push_back(driver_.submit(masked(asks(i, 200))));
    keep_masking(crowded.back(), 1, multiples(i + 2));
  }
  driver_.run();
  EXPECT_GT(engine_.stats().preemptions, 0);
  for (int32_t i = 0; i < 4; ++i) {
    const auto alone = driver_.submit(masked(asks(i, 200)));
    keep_masking(alone, 1, multiples(i + 2));
    driver_.run();
    EXPECT_EQ(tokens(*crowded[static_cast<size_t>(i)]), tokens(*alone)) << i;
  }
  expect_nothing_held();
}

}  // namespace
}  // namespace facellm
