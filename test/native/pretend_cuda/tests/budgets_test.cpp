// What a GPU pays for: operations, copies by kind, waits and allocations, exactly as they are today for the tiny model of two
// layers. A change that lowers them lowers the numbers here; one that raises them has to say why.
#include <gtest/gtest.h>

#include "pretend_cuda.h"
#include "requests.h"

namespace pretend_cuda {
namespace {

std::string summary(const Counts& c) {
  return std::to_string(c.total_operations()) + " operations, uploads " + std::to_string(c.pinned_uploads) + "+" +
         std::to_string(c.pageable_uploads) + ", downloads " + std::to_string(c.downloads) + ", waits " + std::to_string(c.total_waits()) +
         ", allocations " + std::to_string(c.allocations);
}

template <typename Work>
Counts cost(Work work) {
  reset_counts();
  work();
  return counts();
}

// Of `more` steps, what one costs.
Counts one_of(const Counts& all, const Counts& without, int64_t more) {
  Counts one = all;
  for (auto& [name, count] : one.operations) count = (count - (without.operations.contains(name) ? without.operations.at(name) : 0)) / more;
  for (auto& [name, count] : one.waits) count = (count - (without.waits.contains(name) ? without.waits.at(name) : 0)) / more;
  one.pinned_uploads = (all.pinned_uploads - without.pinned_uploads) / more;
  one.pageable_uploads = (all.pageable_uploads - without.pageable_uploads) / more;
  one.downloads = (all.downloads - without.downloads) / more;
  one.allocations = (all.allocations - without.allocations) / more;
  return one;
}

Counts decoded_token(const std::string& dtype, int64_t rows) {
  const auto model = load(dtype);
  const auto run = [&](int64_t tokens) {
    const std::vector requests(static_cast<size_t>(rows), generation(prompt(9, false), tokens));
    return cost([&] { answer(*model, requests); });
  };
  return one_of(run(12), run(2), 10);
}

// A graph, and the transfer of what it chose. The host waits for the step before while this one is on its way.
TEST(Budget, DecodedToken) {
  for (const auto& [dtype, rows] : {std::pair{"bf16", 1}, {"fp32", 1}, {"fp32", 3}}) {
    const auto token = decoded_token(dtype, rows);
    EXPECT_EQ(summary(token), "1 operations, uploads 0+0, downloads 1, waits 1, allocations 0");
    EXPECT_EQ(token.operations.at("graph"), 1);
    EXPECT_EQ(token.waits.at("event, with work behind it"), 1);
  }
}

// Rows of two adapters, of both together and of none: the same, once such a step has been recorded.
TEST(Budget, DecodedTokenUnderAdapters) {
  const Adapters adapters;
  const auto model = load("bf16");
  const auto ids = adapters.load(*model);
  const std::vector<facellm::AdapterIds> stacks{{ids[0]}, {ids[2]}, {ids[0], ids[1]}, {}};
  const auto run = [&](int64_t tokens) {
    std::vector<facellm::GenerateRequest> requests;
    for (const auto& stack : stacks) {
      requests.push_back(generation(prompt(9, false), tokens));
      requests.back().adapters = stack;
    }
    return cost([&] { answer(*model, requests); });
  };
  (void)run(12);
  const auto token = one_of(run(12), run(2), 10);
  EXPECT_EQ(summary(token), "1 operations, uploads 0+0, downloads 1, waits 1, allocations 0");
  EXPECT_EQ(token.operations.at("graph"), 1);
}

// A row that has got a block, and penalties, which follow what was chosen: one transfer from pinned memory.
TEST(Budget, DecodedTokenThatTheHostTouches) {
  const auto model = load("bf16");
  const auto run = [&](const facellm::SamplingOptions& sampling, int64_t tokens) {
    auto request = generation(prompt(9, false), tokens);
    request.sampling = sampling;
    return cost([&] { answer(*model, {request}); });
  };
  const facellm::SamplingOptions greedy{.is_greedy = true}, penalty{.is_greedy = true, .frequency_penalty = 0.5};
  for (int time = 0; time < 4; ++time) (void)run(greedy, 12);  // the prompt is a graph, too
  // Slot 64 is the second block's first; there are 10 tokens in the prompt.
  const auto border = one_of(run(greedy, 60), run(greedy, 50), 1);
  EXPECT_EQ(border.pinned_uploads, 1);
  EXPECT_EQ(border.pageable_uploads, 0);
  EXPECT_EQ(border.allocations, 0);
  // The host must know a token before it can count it: it waits for the step itself.
  const auto counted = one_of(run(penalty, 12), run(penalty, 2), 10);
  EXPECT_EQ(summary(counted), "1 operations, uploads 1+0, downloads 1, waits 2, allocations 0");
}

TEST(Budget, PrefillPictureAndChoose) {
  const auto model = load("bf16");
  EXPECT_EQ(summary(cost([&] { answer(*model, {generation(prompt(16, false), 1)}); })), "47 operations, uploads 0+2, downloads 1, waits 4, allocations 54");
  EXPECT_EQ(summary(cost([&] { facellm::Driver(*model).answer(facellm::EmbedRequest{{picture()}, {}}); })), "30 operations, uploads 1+0, downloads 1, waits 3, allocations 39");
  facellm::ChooseRequest request{};
  request.prompt = prompt(16, false);
  request.choices = {{5, 6}, {7}, {8, 9, 10}};
  const auto fresh = load("bf16");  // none of its prompts is of a known length
  EXPECT_EQ(summary(cost([&] { facellm::Driver(*fresh).answer(request); })), "122 operations, uploads 0+6, downloads 2, waits 10, allocations 128");
}

// Whoever answers while a prompt comes: one attention a layer for all of them, one for the prompt.
TEST(Budget, AnswersBesideAPromptAttendTogether) {
  const auto model = load("bf16");
  facellm::Driver driver(*model);
  for (int i = 0; i < 3; ++i) driver.submit(generation(prompt(9 + i, false), 30));
  for (int step = 0; step < 6; ++step) ASSERT_TRUE(model->step());
  driver.submit(generation(prompt(20, false), 2));
  const auto counts = cost([&] { model->step(); });
  constexpr int64_t kLayers = 2;
  EXPECT_EQ(counts.operations.at("flash_attention"), kLayers);
  EXPECT_EQ(counts.operations.at("paged_decode_attention_kernel<__nv_bfloat16>"), kLayers);
  driver.run();
}

// The tower's pass over few tiles is a graph from its second time on: the bits of a model that has seen no other picture.
TEST(Budget, PictureByGraph) {
  const auto model = load("bf16");
  for (int time = 0; time < 4; ++time) {
    auto own = picture();
    own.key = "picture " + std::to_string(time);
    auto pixels = *own.rgb;
    for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<uint8_t>(i * (7 + static_cast<size_t>(time)));
    own.rgb = std::make_shared<const std::vector<uint8_t>>(std::move(pixels));
    std::vector<facellm::HostTensor> vectors;
    const auto counts = cost([&] { vectors = facellm::Driver(*model).answer(facellm::EmbedRequest{{own}, {}}); });
    if (time > 1) {
      EXPECT_EQ(counts.operations.at("graph"), 1);
      EXPECT_EQ(summary(counts), "3 operations, uploads 1+0, downloads 1, waits 2, allocations 2");
    }
    const auto fresh = load("bf16");
    EXPECT_EQ(vectors.at(0).data, facellm::Driver(*fresh).answer(facellm::EmbedRequest{{own}, {}}).at(0).data) << time;
  }
}

TEST(Budget, TrainingUpdate) {
  const char* const update = "6 operations, uploads 0+0, downloads 1, waits 2, allocations 30";
  for (const auto& [dtype, accumulate] : {std::pair{"bf16", "384 operations, uploads 2+0, downloads 1, waits 4, allocations 370"},
                                          std::pair{"fp32", "441 operations, uploads 2+0, downloads 1, waits 4, allocations 374"}}) {
    const auto trainer = lora_trainer(dtype);
    trainer->accumulate(batch(), {});
    trainer->update({1e-3, 1.0}, {});
    EXPECT_EQ(summary(cost([&] { trainer->accumulate(batch(), {}); })), accumulate);
    EXPECT_EQ(summary(cost([&] { trainer->update({1e-3, 1.0}, {}); })), update);
  }
}

// A loss that is no number is known when the backward pass has been enqueued, and not before: the host reads nothing until then.
TEST(Budget, NothingIsReadBeforeTheBackwardPass) {
  const auto trainer = lora_trainer("fp32");
  trainer->accumulate(batch(), {});
  const auto whole = cost([&] { trainer->accumulate(batch(), {}); });
  auto infinite = batch();
  infinite.samples[0].weight = infinite.samples[1].weight = 1e300;
  const auto failed = cost([&] { EXPECT_THROW(trainer->accumulate(infinite, {}), facellm::Error); });
  EXPECT_GE(failed.total_operations(), whole.total_operations());
  EXPECT_EQ(failed.downloads, 1);
}

// Samples that begin alike: as many transfers and waits as without, an attention a block, which has no mask. The attention of answers
// beside each other needs the losses of all their tokens first, which stay on the device.
TEST(Budget, TrainingUpdateOfSharedPrefixes) {
  const auto shared = batch(/*samples=*/4, /*shared_tokens=*/20);
  auto answers = shared;
  answers.answer_sets = {{0, 2, facellm::AnswerObjective::kExpectedReward, 1, 0.1, {1, 0}, {-3, -4}},
                         {2, 2, facellm::AnswerObjective::kPreference, 1, 0.1, {}, {-3, -4}}};
  answers.answers_denominator = 2;
  for (const auto& [dtype, flash] : {std::pair{"bf16", true}, std::pair{"fp32", false}}) {
    const auto plain = lora_trainer(dtype), trees = lora_trainer(dtype, /*shares_prefix=*/true);
    for (const auto* trainer : {&plain, &trees}) (*trainer)->accumulate(shared, {});
    const auto unshared = cost([&] { plain->accumulate(shared, {}); });
    facellm::MicroResult result{};
    const auto own = cost([&] { result = trees->accumulate(shared, {}); });
    EXPECT_EQ(result.tokens - result.computed_tokens, 3 * 20);
    EXPECT_EQ(own.pinned_uploads, unshared.pinned_uploads);
    EXPECT_EQ(own.pageable_uploads, 0);
    EXPECT_EQ(own.downloads, unshared.downloads);
    EXPECT_EQ(own.total_waits(), unshared.total_waits());
    // Two layers, computed again in the backward pass: four branches and their beginning among themselves, and what they see of it.
    const auto count = [&](const char* name) { return own.operations.contains(name) ? own.operations.at(name) : 0; };
    EXPECT_EQ(count("flash_attention"), flash ? 2 * 2 * 6 : 0);
    EXPECT_EQ(count("flash_attention_backward"), flash ? 2 * 6 : 0);
    const auto with_answers = cost([&] { trees->accumulate(answers, {}); });
    EXPECT_EQ(with_answers.pageable_uploads, 0) << summary(with_answers);
    EXPECT_EQ(with_answers.downloads, unshared.downloads) << summary(with_answers);
  }
}

// Cards that would take cuDNN's attention for what learns get flash attention for a tree's blocks, too: never a matrix of scores.
TEST(Budget, SharedPrefixesWhereCudnnIsPreferred) {
  const auto shared = batch(/*samples=*/4, /*shared_tokens=*/20);
  const auto trees = lora_trainer("bf16", /*shares_prefix=*/true);
  trees->accumulate(shared, {});
  prefer_cudnn(true);
  const auto own = cost([&] { trees->accumulate(shared, {}); });
  prefer_cudnn(false);
  EXPECT_EQ(own.operations.at("flash_attention"), 2 * 2 * 6);
  EXPECT_EQ(own.operations.at("flash_attention_backward"), 2 * 6);
}

// The rules of graph capture (docs/gpu.md): what is left of them to the host is the transfer of what was chosen, and the wait for
// the step before.
TEST(Capture, TwoDecodedTokensAreTheSame) {
  const auto model = load("bf16");
  std::vector<Step> steps;
  facellm::Driver driver(*model);
  driver.submit(generation(prompt(9, false), 9));
  // The prompt's, one without a graph, the one that records it.
  for (int step = 0; step < 7; ++step) {
    if (step > 3) begin_step();
    ASSERT_TRUE(model->step());
    if (step > 3) steps.push_back(end_step());
  }
  driver.run();
  ASSERT_EQ(steps.size(), 3u);
  // The ring has two places.
  EXPECT_EQ(first_difference(steps[0], steps[2]), "");
  EXPECT_EQ(first_difference(steps[0], steps[1]), "");
  ASSERT_EQ(steps[0].lines.size(), 2u) << ::testing::PrintToString(steps[0].lines);
  EXPECT_EQ(steps[0].lines[0], "graph of 26 nodes");
  EXPECT_EQ(steps[0].left_alive, 0);
  EXPECT_EQ(steps[0].broken.size(), 2u) << ::testing::PrintToString(steps[0].broken);
}

// Norms, rotation and gates are kernels of their own there: 10 L + 14 nodes, and two for each of a layer's four products.
TEST(Capture, NodesOfATokenUnderAdapters) {
  const Adapters adapters;
  const auto model = load("bf16");
  const auto ids = adapters.load(*model);
  for (const auto& stacks : std::vector<std::vector<facellm::AdapterIds>>{{{ids[0]}}, {{ids[0]}, {ids[0], ids[1]}, {ids[1], ids[2]}}}) {
    facellm::Driver driver(*model);
    for (const auto& stack : stacks) {
      auto request = generation(prompt(9, false), 9);
      request.adapters = stack;
      driver.submit(request);
    }
    // The prompts', three without a graph, the one that records it.
    for (int step = 0; step < 6; ++step) ASSERT_TRUE(model->step());
    begin_step();
    ASSERT_TRUE(model->step());
    const auto step = end_step();
    driver.run();
    EXPECT_EQ(step.lines.at(0), "graph of 50 nodes") << stacks.size();
    EXPECT_EQ(step.left_alive, 0);
  }
}

}  // namespace
}  // namespace pretend_cuda
