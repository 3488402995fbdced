// Prompts as graphs: the bits of a model that has seen no other, whatever is asked, and few operations.
#include <gtest/gtest.h>

#include "generation/prompt_graphs.h"
#include "pretend_cuda.h"
#include "requests.h"

namespace pretend_cuda {
namespace {

constexpr int kRunsBefore = facellm::PromptGraphs::kRunsBefore;

facellm::Prompt words(int length, int first) {
  facellm::Prompt prompt;
  for (int i = 0; i < length; ++i) prompt.ids.push_back(first + 3 * i);
  return prompt;
}

// What a model answers that was loaded for it alone.
std::vector<int32_t> alone(facellm::GenerateRequest request, const std::string& dtype = "bf16") {
  return answer(*load(dtype), {std::move(request)});
}

// Answers, and says whether the prompt was a graph: others are those of the tokens behind it, from a certain step on.
std::vector<int32_t> ask(facellm::FaceLlm& model, const facellm::GenerateRequest& request, bool* is_graph) {
  reset_counts();
  facellm::Driver driver(model);
  const auto outcome = driver.submit(request);
  auto& tokens = driver.client->tokens[{outcome->id, 0}];
  while (tokens.empty() && !outcome->is_over()) model.step();
  *is_graph = counts().operations.contains("graph");
  driver.run();
  if (outcome->error) throw facellm::Error(*outcome->error);
  return tokens;
}

// Whoever holds blocks meanwhile, and takes no part.
class Holders {
 public:
  explicit Holders(facellm::FaceLlm& model) : model_(model), driver_(model) {}
  void add(int length) {
    driver_.client->is_paused = false;
    held_.push_back(driver_.submit(generation(words(length, 700), 60)));
    while (driver_.client->tokens[{held_.back()->id, 0}].empty()) model_.step();
  }
  void pause() { driver_.client->is_paused = true; }
  void end(size_t which) {
    held_[which]->cancellation->request();
    driver_.client->is_paused = false;
    while (!held_[which]->is_over()) model_.step();
  }
  ~Holders() {
    driver_.client->is_paused = false;
    for (const auto& one : held_) one->cancellation->request();
    driver_.run();
  }

 private:
  facellm::FaceLlm& model_;
  facellm::Driver<facellm::FaceLlm> driver_;
  std::vector<std::shared_ptr<facellm::Outcome<facellm::GenerateResult>>> held_;
};

// Against 47 operations without.
TEST(PromptGraphs, AreFewOperations) {
  const auto model = load("bf16");
  for (int time = 0; time <= kRunsBefore; ++time) {
    reset_counts();
    (void)answer(*model, {generation(words(17, 50 + 7 * time), 1)});
  }
  const auto all = counts();
  EXPECT_EQ(all.total_operations(), 23) << to_text(all);
  EXPECT_EQ(all.pinned_uploads + all.pageable_uploads, 2);
  EXPECT_EQ(all.downloads, 1);
  EXPECT_EQ(all.total_waits(), 4);
  EXPECT_EQ(all.allocations, 17);
}

TEST(PromptGraphs, AreTheSameFromTheFourthOfALengthOn) {
  for (const std::string dtype : {"bf16", "fp32"}) {
    const auto model = load(dtype);
    Holders holders(*model);
    for (int time = 0; time < 6; ++time) {
      // Their blocks lie elsewhere each time.
      holders.add(10);
      holders.pause();
      const auto request = generation(words(21, 50 + 7 * time), 4);
      bool is_graph = false;
      EXPECT_EQ(ask(*model, request, &is_graph), alone(request, dtype)) << dtype << time;
      EXPECT_EQ(is_graph, time >= kRunsBefore) << dtype << time;
    }
  }
}

// Behind a beginning that is known: of whole blocks, and of a block and a part.
TEST(PromptGraphs, BehindACachedBeginning) {
  for (const int shared : {64, 70}) {
    const auto model = load("bf16");
    Holders holders(*model);
    for (int time = 0; time < 7; ++time) {
      if (time % 2 == 1) holders.add(10);
      holders.pause();
      auto request = generation(words(shared, 50), 4);
      request.uses_prefix_cache = true;
      for (int i = 0; i < 9; ++i) request.prompt.ids.push_back(900 + 11 * i + time);
      bool is_graph = false;
      EXPECT_EQ(ask(*model, request, &is_graph), alone(request)) << shared << " " << time;
      // The first computes the beginning, too.
      EXPECT_EQ(is_graph, time > kRunsBefore) << shared << " " << time;
    }
  }
}

TEST(PromptGraphs, AboutPictures) {
  const auto model = load("bf16");
  for (int time = 0; time < 6; ++time) {
    auto request = generation(prompt(12, true), 4);
    request.prompt.ids[0] = 40 + time;
    bool is_graph = false;
    EXPECT_EQ(ask(*model, request, &is_graph), alone(request)) << time;
  }
}

// Blocks that do not lie in line, since another's lies between them.
TEST(PromptGraphs, WhereverTheirBlocksLie) {
  const auto model = load("bf16");
  for (int time = 0; time < 6; ++time) {
    Holders holders(*model);
    for (int i = 0; i < 2 + time % 3; ++i) holders.add(10);
    holders.end(0);
    holders.pause();
    const auto request = generation(words(150, 60 + 5 * time), 3);
    bool is_graph = false;
    EXPECT_EQ(ask(*model, request, &is_graph), alone(request)) << time;
    EXPECT_EQ(is_graph, time >= kRunsBefore) << time;
  }
}

// Prompts under adapters go without, the base's beside them do not; whether adapters come or go.
TEST(PromptGraphs, WithAdaptersInTheModel) {
  const Adapters adapters;
  const auto model = load("bf16");
  const auto own = adapters.load(*model);
  for (int time = 0; time < 8; ++time) {
    auto under = generation(words(21, 50 + 7 * time), 1);
    bool is_graph = false;
    if (time < 6) {
      under.adapters = {own[0]};
      (void)ask(*model, under, &is_graph);
      EXPECT_FALSE(is_graph) << time;
    }
    if (time == 6) model->unload_adapter(own[0]);
    const auto base = generation(words(21, 80 + 7 * time), 4);
    EXPECT_EQ(ask(*model, base, &is_graph), alone(base)) << time;
    EXPECT_EQ(is_graph, time >= kRunsBefore) << time;
  }
}

TEST(PromptGraphs, SeveralInAStepGoWithout) {
  const auto model = load("bf16");
  for (int time = 0; time < 5; ++time) {
    const std::vector requests{generation(words(21, 150 + 7 * time), 2), generation(words(21, 350 + 7 * time), 2)};
    auto wanted = alone(requests[0]);
    const auto other = alone(requests[1]);
    wanted.insert(wanted.end(), other.begin(), other.end());
    EXPECT_EQ(answer(*model, requests), wanted) << time;
  }
}

// Where there is no room for a graph the length goes without; and a cleared model counts anew.
TEST(PromptGraphs, WithoutRoomPromptsAreAnsweredAllTheSame) {
  int went_without = 0;
  for (int64_t number = 0;; number += 13) {
    const auto model = load("bf16");
    bool is_graph = false;
    for (int time = 0; time + 1 < kRunsBefore; ++time) (void)ask(*model, generation(words(21, 50 + 7 * time), 1), &is_graph);
    const auto request = generation(words(21, 80), 1);
    const auto wanted = alone(request);
    fail_allocation(number);
    try {
      EXPECT_EQ(ask(*model, request, &is_graph), wanted) << number;
      went_without += has_allocation_failed();
    } catch (const facellm::Error& error) {
      EXPECT_EQ(error.code(), facellm::ErrorCode::kOutOfMemory) << number;
    }
    const bool has_failed = has_allocation_failed();
    fail_allocation(-1);
    EXPECT_EQ(ask(*model, request, &is_graph), wanted) << number;
    if (!has_failed) break;
    ASSERT_LT(number, 1000);
  }
  EXPECT_GT(went_without, 2);
}

// Lengths that come once evict none, and the memory of those kept is bounded.
TEST(PromptGraphs, TheLengthsUsedLastAreKept) {
  const auto model = load("bf16");
  bool is_graph = false;
  const auto run = [&](int length, int times) {
    for (int time = 0; time < times; ++time) (void)ask(*model, generation(words(length, 100 + 5 * time), 1), &is_graph);
    return is_graph;
  };
  EXPECT_TRUE(run(30, kRunsBefore + 1));
  for (int length = 31; length < 50; ++length) run(length, 1);
  EXPECT_TRUE(run(30, 1));
  for (int length = 31; length < 31 + static_cast<int>(facellm::PromptGraphs::kMostGraphs); ++length) run(length, kRunsBefore);
  EXPECT_FALSE(run(30, 1));
  model->clear_caches();
  EXPECT_FALSE(run(40, 1));
}

}  // namespace
}  // namespace pretend_cuda
