// Prompts as graphs: the bits of a model that has seen no other, whatever is asked, and few operations.
#include <gtest/gtest.h>

#include "generation/prompt_graphs.h"
#include "pretend_cuda.h"
#include "requests.h"

namespace pretend_cuda {
namespace {

facellm::Prompt words(int length, int first) {
  facellm::Prompt prompt;
  for (int i = 0; i < length; ++i) prompt.ids.push_back(first + 3 * i);
  return prompt;
}

constexpr int64_t kOperations = 23, kWaits = 4;

// What a model answers that was loaded for it alone.
std::vector<int32_t> alone(const facellm::GenerateRequest& request, const std::string& dtype) {
  return answer(*load(dtype), {request});
}

int64_t graphs_of(facellm::FaceLlm& model, const facellm::GenerateRequest& request, std::vector<int32_t>& ids) {
  reset_counts();
  ids = answer(model, {request});
  const auto all = counts();
  return all.operations.contains("graph") ? all.operations.at("graph") : 0;
}

// Against 47 operations without.
TEST(PromptGraphs, AreFewOperations) {
  const auto model = load("bf16");
  std::vector<int32_t> ids;
  for (int time = 0; time < 4; ++time) (void)graphs_of(*model, generation(words(17, 50 + 7 * time), 1), ids);
  EXPECT_EQ(counts().total_operations(), kOperations) << to_text(counts());
  EXPECT_EQ(counts().total_waits(), kWaits);
}

TEST(PromptGraphs, AreTheSameFromTheThirdOfALengthOn) {
  for (const std::string dtype : {"bf16", "fp32"}) {
    const auto model = load(dtype);
    for (int time = 0; time < 5; ++time) {
      // No beginning in common.
      const auto request = generation(words(21, 50 + 7 * time), 1);
      std::vector<int32_t> ids;
      EXPECT_EQ(graphs_of(*model, request, ids), time < facellm::PromptGraphs::kRunsBefore ? 0 : 1) << dtype << time;
      EXPECT_EQ(ids, alone(request, dtype)) << dtype << time;
    }
  }
}

// Behind a cached beginning, whose blocks they share; and about pictures.
TEST(PromptGraphs, BehindACachedBeginningAndWithPictures) {
  const auto model = load("bf16");
  for (int time = 0; time < 5; ++time) {
    auto request = generation(words(70, 50), 1);
    for (int i = 0; i < 9; ++i) request.prompt.ids.push_back(900 + 11 * i + time);
    std::vector<int32_t> ids;
    const auto graphs = graphs_of(*model, request, ids);
    if (time > facellm::PromptGraphs::kRunsBefore) {
      EXPECT_EQ(graphs, 1) << time;
    }
    EXPECT_EQ(ids, alone(request, "bf16")) << time;
  }
  for (int time = 0; time < 4; ++time) {
    auto request = generation(prompt(12 + (time % 2), true), 3);
    request.prompt.ids[0] = 40 + time;
    EXPECT_EQ(answer(*model, {request}), alone(request, "bf16")) << time;
  }
}

// Adapters, several rows in a step and answers beside a prompt go without.
TEST(PromptGraphs, OthersGoWithout) {
  const Adapters adapters;
  const auto model = load("bf16");
  const auto own = adapters.load(*model);
  std::vector<int32_t> ids;
  for (int time = 0; time < 4; ++time) {
    auto request = generation(words(21, 50 + 7 * time), 1);
    request.adapters = {own[0]};
    EXPECT_EQ(graphs_of(*model, request, ids), 0) << time;
  }
  for (int time = 0; time < 4; ++time) {
    const std::vector requests{generation(words(21, 150 + 7 * time), 1), generation(words(21, 350 + 7 * time), 1)};
    auto wanted = alone(requests[0], "bf16");
    const auto other = alone(requests[1], "bf16");
    wanted.insert(wanted.end(), other.begin(), other.end());
    EXPECT_EQ(answer(*model, requests), wanted) << time;
  }
}

// Blocks that do not lie in line, since others' lie between them.
TEST(PromptGraphs, WhereverTheirBlocksLie) {
  const auto model = load("bf16");
  for (int time = 0; time < 4; ++time) {
    facellm::Driver driver(*model);
    const auto small = driver.submit(generation(words(20, 400 + 9 * time), 40));
    while (driver.client->tokens[{small->id, 0}].size() < 3) model->step();
    const auto large = generation(words(150, 60 + 5 * time), 2);
    const auto asked = driver.submit(large);
    driver.run();
    ASSERT_TRUE(asked->result);
    EXPECT_EQ((driver.client->tokens.at({asked->id, 0})), alone(large, "bf16")) << time;
    const auto again = generation(words(150, 61 + 5 * time), 2);
    EXPECT_EQ(answer(*model, {again}), alone(again, "bf16")) << time;
  }
}

// Where there is no room for a graph the length goes without.
TEST(PromptGraphs, WithoutRoomPromptsAreAnsweredAllTheSame) {
  int went_without = 0;
  for (int64_t number = 0; number < 40; number += 3) {
    const auto model = load("bf16");
    std::vector<int32_t> ids;
    for (int time = 0; time < 2; ++time) (void)graphs_of(*model, generation(words(21, 50 + 7 * time), 1), ids);
    const auto request = generation(words(21, 80), 1);
    fail_allocation(number);
    try {
      EXPECT_EQ(graphs_of(*model, request, ids), 0) << number;
      EXPECT_EQ(ids, alone(request, "bf16")) << number;
      ++went_without;
    } catch (const facellm::Error& error) {
      EXPECT_EQ(error.code(), facellm::ErrorCode::kOutOfMemory) << number;
    }
    fail_allocation(-1);
    EXPECT_EQ(answer(*model, {request}), alone(request, "bf16")) << number;
  }
  EXPECT_GT(went_without, 2);
}

// Lengths that come once leave nothing, and many do not fill the memory.
TEST(PromptGraphs, TheLengthsUsedLastAreKept) {
  const auto model = load("bf16");
  std::vector<int32_t> ids;
  const auto ask = [&](int length, int first) { return graphs_of(*model, generation(words(length, first), 1), ids); };
  for (int time = 0; time < 3; ++time) ask(30, 100 + 5 * time);
  EXPECT_EQ(ask(30, 140), 1);
  for (int length = 31; length < 31 + static_cast<int>(facellm::PromptGraphs::kMostLengths); ++length) ask(length, 200);
  EXPECT_EQ(ask(30, 160), 0);
}

}  // namespace
}  // namespace pretend_cuda
