// The loop in company: what a request gets does not depend on who else is there, on what is cached, or on how little
// memory there is; and nobody's failure, slowness or leaving is another's.
#include <ATen/ATen.h>
#include <c10/core/Allocator.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <new>
#include <random>

#include "engine_driver.h"
#include "generation/step_engine.h"
#include "model/open_model.h"
#include "tiny_model.h"

namespace facellm {
namespace {

constexpr int64_t kBlockBytes = 2 * 2 * 2 * 16 * 4 * 64;  // layers, keys and values, heads, size, fp32, slots

struct Loaded {
  OpenedModel opened;
  StepEngine engine;
  Driver<StepEngine> driver{engine};

  // blocks: of the pool.
  explicit Loaded(int64_t blocks) : Loaded(request(blocks)) {}

 private:
  explicit Loaded(const LoadRequest& request)
      : opened(open_model(request, [](int64_t, int64_t) {}, {})), engine(*opened.model, request, [] {}) {}
  static LoadRequest request(int64_t blocks) {
    auto request = tiny_model(kTinyWeights, "fp32");
    request.kv_bytes = blocks * kBlockBytes;
    request.image_cache_bytes = request.prefix_cache_bytes = 1 << 24;
    return request;
  }
};

const SamplingOptions kGreedy{.is_greedy = true};
const SamplingOptions kDrawn{.temperature = 1.5, .top_p = 0.95, .seed = 7};

GenerateRequest asks(std::vector<int32_t> ids, int64_t tokens, SamplingOptions sampling = kGreedy) {
  return {{std::move(ids), {}}, {}, sampling, 1, 0, tokens, {}, true};
}

std::vector<int32_t> words(int32_t first, int64_t count) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back(10 + (first * 131 + static_cast<int32_t>(i) * 17) % 2000);
  return ids;
}

class StepEngineSchedules : public testing::TestWithParam<uint64_t> {};

// Twelve blocks hold 768 tokens; the requests together would take some 3,000.
TEST_P(StepEngineSchedules, AnswersAreThoseOfAQuietRun) {
  std::mt19937_64 random(GetParam());
  const auto below = [&](uint64_t n) { return static_cast<int64_t>(random() % n); };
  std::vector<GenerateRequest> requests;
  for (int i = 0; i < 16; ++i) {
    auto ids = words(static_cast<int32_t>(below(3)), 40 + below(100));
    const auto own = words(50 + i, 1 + below(60));
    ids.insert(ids.end(), own.begin(), own.end());
    requests.push_back(asks(std::move(ids), 1 + below(60), below(2) == 0 ? kGreedy : kDrawn));
  }
  Loaded quiet(512), crowded(12);
  std::vector<std::vector<int32_t>> wanted;
  for (const auto& request : requests) wanted.push_back(quiet.driver.ids(request));
  std::vector<std::shared_ptr<Outcome<GenerateResult>>> outcomes;
  std::vector<bool> is_cancelled(requests.size());
  while (outcomes.size() < requests.size()) {
    outcomes.push_back(crowded.driver.submit(requests[outcomes.size()]));
    for (int64_t steps = below(6); steps > 0; --steps) crowded.engine.step();
    if (below(4) != 0) continue;
    const auto victim = static_cast<size_t>(below(outcomes.size()));
    if (outcomes[victim]->is_over()) continue;
    is_cancelled[victim] = true;
    outcomes[victim]->cancellation->request();
  }
  crowded.driver.run();
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto& tokens = crowded.driver.client->tokens[{outcomes[i]->id, 0}];
    ASSERT_TRUE(outcomes[i]->is_over()) << i;
    ASSERT_LE(tokens.size(), wanted[i].size());
    if (!is_cancelled[i]) {
      ASSERT_TRUE(outcomes[i]->result) << outcomes[i]->error->what();
      EXPECT_EQ(tokens.size(), wanted[i].size());
    }
    EXPECT_TRUE(std::equal(tokens.begin(), tokens.end(), wanted[i].begin())) << i;
  }
  const auto stats = crowded.engine.stats();
  EXPECT_EQ(stats.used_blocks, 0);
  EXPECT_EQ(stats.running_rows + stats.waiting_requests, 0);
}

INSTANTIATE_TEST_SUITE_P(Random, StepEngineSchedules, testing::Range<uint64_t>(0, 8));

TEST(StepEngine, ATightPoolTakesBlocksBackAndComputesThemAgain) {
  Loaded quiet(512), crowded(12);
  std::vector<std::shared_ptr<Outcome<GenerateResult>>> outcomes;
  for (int32_t i = 0; i < 4; ++i) outcomes.push_back(crowded.driver.submit(asks(words(i, 100), 200)));
  crowded.driver.run();
  EXPECT_GT(crowded.engine.stats().preemptions, 0);
  for (int32_t i = 0; i < 4; ++i) {
    const std::pair key{outcomes[static_cast<size_t>(i)]->id, 0};
    EXPECT_EQ(crowded.driver.client->tokens[key], quiet.driver.ids(asks(words(i, 100), 200))) << i;
  }
}

TEST(StepEngine, ARequestThatNeverFitsIsRefusedWithTheNumbers) {
  Loaded loaded(4);
  const auto outcome = loaded.driver.submit(asks(words(0, 100), 200));
  ASSERT_TRUE(outcome->error);
  EXPECT_EQ(outcome->error->code(), ErrorCode::kPromptTooLong);
  EXPECT_NE(std::string(outcome->error->what()).find("256"), std::string::npos) << outcome->error->what();
}

TEST(StepEngine, AnswersToOnePromptShareItAndDrawFromTheirOwnStreams) {
  Loaded loaded(512);
  auto request = asks(words(1, 300), 12, kDrawn);
  request.rows = 3;
  request.uses_prefix_cache = false;
  const auto outcome = loaded.driver.submit(request);
  loaded.driver.run();
  ASSERT_TRUE(outcome->result);
  EXPECT_LT(loaded.engine.stats().tokens_computed, 300 + 3 * 12 + 3);
  for (int32_t row = 0; row < 3; ++row) {
    auto alone = asks(words(1, 300), 12, kDrawn);
    alone.first_row = row;
    EXPECT_EQ((loaded.driver.client->tokens[{outcome->id, row}]), loaded.driver.ids(alone)) << row;
  }
  EXPECT_NE((loaded.driver.client->tokens[{outcome->id, 0}]), (loaded.driver.client->tokens[{outcome->id, 1}]));
}

TEST(StepEngine, TheNextTurnTakesOverTheAnswer) {
  Loaded loaded(512);
  auto ids = words(2, 90);
  const auto answer = loaded.driver.ids(asks(ids, 30));
  ids.insert(ids.end(), answer.begin(), answer.end());
  const auto next = words(9, 5);
  ids.insert(ids.end(), next.begin(), next.end());
  // The last token of an answer is chosen, not computed.
  EXPECT_EQ(loaded.driver.answer(asks(ids, 4)).rows[0].cached_tokens, 90 + 29);
}

TEST(StepEngine, QuestionsThatComeTogetherComputeWhatTheyShareOnce) {
  Loaded loaded(512);
  for (int32_t i = 0; i < 8; ++i) {
    auto ids = words(3, 500);
    ids.push_back(20 + i);
    loaded.driver.submit(ChooseRequest{{ids, {}}, {}, {{5}, {6, 7}}, true});
  }
  loaded.driver.run();
  EXPECT_LT(loaded.engine.stats().tokens_computed, 500 + 8 * 4);
}

TEST(StepEngine, ADamagedRowEndsAlone) {
  Loaded loaded(512);
  const auto wanted = loaded.driver.ids(asks(words(4, 20), 6));
  for (const auto& [name, weight] : loaded.opened.model->parameters()) {
    const c10::InferenceMode inference;
    if (name == "language_model.model.embed_tokens.weight") weight[3].fill_(std::numeric_limits<float>::quiet_NaN());
  }
  auto bad = words(4, 20);
  bad[10] = 3;
  const auto first = loaded.driver.submit(asks(words(4, 20), 6));
  const auto second = loaded.driver.submit(asks(bad, 6));
  loaded.driver.run();
  ASSERT_TRUE(second->error);
  EXPECT_EQ(second->error->code(), ErrorCode::kNonFinite);
  ASSERT_TRUE(first->result);
  EXPECT_EQ((loaded.driver.client->tokens[{first->id, 0}]), wanted);
}

// Fails one allocation of this thread, and counts them.
struct FailingAllocation : c10::MemoryReportingInfoBase {
  int64_t left = -1, count = 0;
  void reportMemoryUsage(void*, int64_t size, size_t, size_t, c10::Device) override {
    if (size <= 0) return;
    ++count;
    if (left >= 0 && left-- == 0) throw std::bad_alloc();
  }
  bool memoryProfilingEnabled() const override { return true; }
};

TEST(StepEngine, MemoryThatRunsOutAnywhereInASharedStepHoldsNobodyUp) {
  Loaded loaded(512);
  const auto ask = [&](int64_t failing) {
    auto first = asks(words(7, 20), 3), second = asks(words(8, 30), 3);
    first.uses_prefix_cache = second.uses_prefix_cache = false;
    const auto memory = std::make_shared<FailingAllocation>();
    memory->left = failing;
    const auto a = loaded.driver.submit(first), b = loaded.driver.submit(second);
    const auto c = loaded.driver.submit(ChooseRequest{{words(9, 25), {}}, {}, {{5}, {6, 7}}, false});
    {
      const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, memory);
      loaded.driver.run();
    }
    EXPECT_TRUE(a->is_over() && b->is_over() && c->is_over()) << "at allocation " << failing;
    EXPECT_EQ(loaded.engine.stats().used_blocks, 0);
    auto& tokens = loaded.driver.client->tokens;
    const std::pair ids(a->result ? tokens[{a->id, 0}] : std::vector<int32_t>{}, b->result ? tokens[{b->id, 0}] : std::vector<int32_t>{});
    return std::pair(memory->count, ids);
  };
  const auto [count, wanted] = ask(-1);
  ASSERT_GT(count, 100);
  for (int64_t n = 0; n < count; n += 3) {
    const auto [_, ids] = ask(n);
    // A failure of a shared step is nobody's in particular: each goes on alone, and with memory again.
    if (!ids.first.empty()) {
      EXPECT_EQ(ids.first, wanted.first) << n;
    }
    if (!ids.second.empty()) {
      EXPECT_EQ(ids.second, wanted.second) << n;
    }
    if (HasFailure()) return;
  }
}

TEST(StepEngine, ASlowReaderPausesItsOwnRows) {
  Loaded loaded(512);
  const auto slow = std::make_shared<TestClient>();
  const auto paused = loaded.driver.submit(asks(words(5, 20), 6), slow);
  loaded.engine.step();
  loaded.engine.step();
  slow->is_paused = true;
  const auto other = loaded.driver.submit(asks(words(5, 30), 6));
  loaded.driver.run();
  EXPECT_TRUE(other->result);
  EXPECT_FALSE(paused->is_over());
  slow->is_paused = false;
  loaded.driver.run();
  EXPECT_TRUE(paused->result);
  EXPECT_EQ((slow->tokens[{paused->id, 0}]), loaded.driver.ids(asks(words(5, 20), 6)));
}

TEST(StepEngine, WhoHasGoneLeavesNothingBehind) {
  Loaded loaded(512);
  const auto gone = std::make_shared<TestClient>();
  const auto outcome = loaded.driver.submit(asks(words(6, 100), 50), gone);
  loaded.engine.step();
  gone->is_gone = true;
  loaded.driver.run();
  EXPECT_FALSE(outcome->is_over());
  EXPECT_EQ(loaded.engine.stats().used_blocks, 0);
}

}  // namespace
}  // namespace facellm
