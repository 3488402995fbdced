// Steps that are resident on the device, against the host's plain ones: the same ids in whatever company, eager or as a graph,
// the log-probabilities as close as the two attentions are; and what such a step costs.
#include <gtest/gtest.h>

#include <array>
#include <random>

#include "pretend_cuda.h"
#include "requests.h"

namespace pretend_cuda {
namespace {

std::unique_ptr<facellm::FaceLlm> load_on(const std::string& device, int64_t kv_bytes = 1 << 24) {
  auto request = on_device("fp32");
  request.device = device;
  request.kv_bytes = kv_bytes;
  return facellm::FaceLlm::load(request, [](int64_t, int64_t) {}, {});
}

TEST(DeviceStep, AnswersAreThoseOfTheHost) {
  const auto device = load_on("cuda"), host = load_on("cpu");
  for (const int64_t tokens : {1, 2, 3, 4, 70}) {
    facellm::Driver here(*host), there(*device);
    const auto request = generation(prompt(9, false), tokens);
    EXPECT_EQ(there.ids(request), here.ids(request)) << tokens;
  }
}

// Each alone on the host; on the device beside all others, whose mixture changes as answers end, and again when it has been recorded.
TEST(DeviceStep, AnswersUnderAdaptersAreThoseOfTheHost) {
  const Adapters adapters;
  const auto device = load_on("cuda"), host = load_on("cpu");
  const auto ids = adapters.load(*device);
  ASSERT_EQ(adapters.load(*host), ids);
  const std::vector<facellm::AdapterIds> stacks{{ids[0]}, {}, {ids[1]}, {ids[0], ids[1]}, {ids[2]}, {ids[0]}, {}, {ids[1], ids[0]}};
  facellm::Driver here(*host), there(*device);
  for (int time = 0; time < 2; ++time) {
    std::vector<std::shared_ptr<facellm::Outcome<facellm::GenerateResult>>> outcomes;
    std::vector<facellm::RequestId> wanted;
    for (size_t i = 0; i < stacks.size(); ++i) {
      auto request = generation(prompt(5 + static_cast<int>(i), false), 4 + 3 * static_cast<int64_t>(i));
      request.adapters = stacks[i];
      outcomes.push_back(there.submit(request));
      wanted.push_back(here.submit(request)->id);
      here.run();
    }
    there.run();
    for (size_t i = 0; i < stacks.size(); ++i) {
      ASSERT_TRUE(outcomes[i]->result) << outcomes[i]->error->what();
      EXPECT_EQ((there.client->tokens[{outcomes[i]->id, 0}]), (here.client->tokens[{wanted[i], 0}])) << i;
      const auto &own = there.client->log_probs[{outcomes[i]->id, 0}], &theirs = here.client->log_probs[{wanted[i], 0}];
      for (size_t t = 0; t < own.size(); ++t) EXPECT_NEAR(own[t], theirs[t], 1e-4) << i << ", token " << t;
    }
  }
}

// The second step of a number of rows is recorded: wherever memory ends in it (every third place), the answer goes on without a
// graph or its request fails, and the next is answered.
TEST(DeviceStep, WithoutRoomForAGraphAnswersGoOn) {
  const auto request = generation(prompt(9, false), 4);
  const auto wanted = answer(*load("bf16"), {request});
  int went_without = 0;
  for (int number = 0;; number += 3) {
    const auto model = load("bf16");
    facellm::Driver driver(*model);
    const auto outcome = driver.submit(request);
    auto& tokens = driver.client->tokens[{outcome->id, 0}];
    while (tokens.empty() && !outcome->is_over()) model->step();
    fail_allocation(number);
    driver.run();
    const bool has_failed = has_allocation_failed();
    fail_allocation(-1);
    if (outcome->error) {
      EXPECT_EQ(outcome->error->code(), facellm::ErrorCode::kOutOfMemory) << number;
    } else {
      EXPECT_EQ(tokens, wanted) << number;
      went_without += has_failed;
    }
    EXPECT_EQ(answer(*model, {request}), wanted) << number;
    if (!has_failed) break;
    ASSERT_LT(number, 1000);
  }
  EXPECT_GT(went_without, 2);
}

// More stacks than are kept built, and an adapter that comes again: a graph that held matrices which have gone would end the process.
TEST(DeviceStep, GraphsAreForgottenWithTheMatricesTheyHold) {
  const Adapters adapters;
  const auto device = load_on("cuda");
  auto ids = adapters.load(*device);
  const auto ask = [&](const facellm::AdapterIds& stack) {
    auto request = generation(prompt(7, false), 6);
    request.adapters = stack;
    return facellm::Driver(*device).ids(request);
  };
  const std::vector<std::vector<size_t>> orders{{0}, {1}, {0, 1}, {1, 0}, {0, 0}, {1, 1}, {0, 0, 1}, {1, 1, 0}, {0, 1, 1}, {2}};
  std::vector<std::vector<int32_t>> first;
  for (int time = 0; time < 3; ++time) {
    if (time == 2) {
      for (const int64_t id : ids) device->unload_adapter(id);
      ids = adapters.load(*device);
    }
    for (size_t i = 0; i < orders.size(); ++i) {
      facellm::AdapterIds stack;
      for (const size_t n : orders[i]) stack.push_back(ids[n]);
      const auto tokens = ask(stack);
      if (time == 0) first.push_back(tokens);
      EXPECT_EQ(tokens, first[i]) << i;
      EXPECT_EQ(ask(stack), first[i]) << i;
    }
  }
}

// More mixtures than are kept, of one stack or two: the oldest has gone, and when it comes again it runs as one that is new.
TEST(DeviceStep, MoreMixturesThanAreKept) {
  const Adapters adapters;
  const auto device = load_on("cuda"), host = load_on("cpu");
  const auto ids = adapters.load(*device);
  ASSERT_EQ(adapters.load(*host), ids);
  const std::array<facellm::AdapterIds, 2> stacks{{{ids[1]}, {ids[2], ids[1]}}};
  const auto row_of = [&](size_t stack, int row, int64_t tokens) {
    auto request = generation(prompt(5 + row, false), tokens);
    request.adapters = stacks[stack];
    return request;
  };
  // `counts`: rows of each stack. Returns how many steps were a graph.
  const auto ask = [&](const std::array<int, 2>& counts, int64_t tokens) {
    std::vector<facellm::GenerateRequest> requests;
    std::vector<int32_t> wanted;
    for (size_t stack = 0; stack < stacks.size(); ++stack) {
      for (int row = 0; row < counts[stack]; ++row) {
        requests.push_back(row_of(stack, row, tokens));
        const auto own = answer(*host, {requests.back()});
        wanted.insert(wanted.end(), own.begin(), own.end());
      }
    }
    reset_counts();
    EXPECT_EQ(answer(*device, requests), wanted) << counts[0] << " and " << counts[1] << " rows";
    const auto done = pretend_cuda::counts().operations;
    return done.contains("graph") ? done.at("graph") : 0;
  };
  constexpr int64_t kTokens = 6;  // the prompts' step chooses the first
  EXPECT_EQ(ask({1, 1}, 4), 0) << "a mixture of three steps is not recorded";
  EXPECT_EQ(ask({1, 1}, kTokens), kTokens - 1) << "from the fourth on it is";
  int64_t mixtures = 0;
  for (int first = 0; first < 5; ++first) {
    for (int second = 0; second < 4; ++second) {
      if (first + second == 0 || (first == 1 && second == 1)) continue;
      EXPECT_EQ(ask({first, second}, kTokens), kTokens - 4);
      ++mixtures;
    }
  }
  ASSERT_GT(mixtures, 16);
  EXPECT_EQ(ask({4, 3}, kTokens), kTokens - 1) << "the last is kept";
  EXPECT_EQ(ask({1, 1}, kTokens), kTokens - 4) << "the first is not";
}

std::vector<int32_t> words(int32_t first, int64_t count) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back(10 + (first * 131 + static_cast<int32_t>(i) * 17) % 2000);
  return ids;
}

class DeviceStepSchedules : public testing::TestWithParam<uint64_t> {};

// Requests join and are cancelled, in a pool a fourth of what they need; what of them is drawn has penalties, too, in part.
TEST_P(DeviceStepSchedules, AnswersAreThoseOfAQuietHost) {
  constexpr int64_t kBlockBytes = 2 * 2 * 2 * 16 * 4 * 64;  // layers, keys and values, heads, size, fp32, slots
  std::mt19937_64 random(GetParam());
  const auto below = [&](uint64_t n) { return static_cast<int64_t>(random() % n); };
  const auto quiet = load_on("cpu"), crowded = load_on("cuda", 12 * kBlockBytes);
  std::vector<facellm::GenerateRequest> requests;
  for (int i = 0; i < 10; ++i) {
    facellm::Prompt prompt{words(static_cast<int32_t>(below(3)), 40 + below(60)), {}};
    const auto own = words(50 + i, 1 + below(30));
    prompt.ids.insert(prompt.ids.end(), own.begin(), own.end());
    auto request = generation(std::move(prompt), 1 + below(60));
    request.uses_prefix_cache = true;
    switch (below(4)) {
      case 0: break;
      case 1: request.sampling = {.temperature = 1.5, .top_p = 0.95, .seed = 7}; break;
      case 2: request.sampling = {.temperature = 1.2, .top_k = 20, .seed = 8, .frequency_penalty = 0.5}; break;
      default: request.sampling = {.is_greedy = true, .repetition_penalty = 1.3, .min_tokens = 5}; break;
    }
    // Ids that end an answer, so that some end unforeseen.
    for (int32_t id = static_cast<int32_t>(below(40)); id < 2072; id += 40) request.eos_ids.push_back(id);
    requests.push_back(std::move(request));
  }
  facellm::Driver here(*quiet), there(*crowded);
  std::vector<std::vector<int32_t>> wanted;
  std::vector<std::vector<float>> log_probs;
  for (const auto& request : requests) {
    const auto outcome = here.submit(request);
    here.run();
    wanted.push_back(here.client->tokens[{outcome->id, 0}]);
    log_probs.push_back(here.client->log_probs[{outcome->id, 0}]);
  }
  std::vector<std::shared_ptr<facellm::Outcome<facellm::GenerateResult>>> outcomes;
  std::vector<bool> is_cancelled(requests.size());
  while (outcomes.size() < requests.size()) {
    outcomes.push_back(there.submit(requests[outcomes.size()]));
    for (int64_t steps = below(12); steps > 0; --steps) crowded->step();
    const auto victim = static_cast<size_t>(below(outcomes.size()));
    if (below(4) != 0 || outcomes[victim]->is_over()) continue;
    is_cancelled[victim] = true;
    outcomes[victim]->cancellation->request();
  }
  there.run();
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto& tokens = there.client->tokens[{outcomes[i]->id, 0}];
    const auto& own = there.client->log_probs[{outcomes[i]->id, 0}];
    ASSERT_TRUE(outcomes[i]->is_over()) << i;
    if (!is_cancelled[i]) {
      ASSERT_TRUE(outcomes[i]->result) << outcomes[i]->error->what();
      EXPECT_EQ(tokens.size(), wanted[i].size()) << i;
    }
    ASSERT_LE(tokens.size(), wanted[i].size());
    for (size_t t = 0; t < tokens.size(); ++t) {
      ASSERT_EQ(tokens[t], wanted[i][t]) << i << ", token " << t;
      ASSERT_NEAR(own[t], log_probs[i][t], 2e-5) << i << ", token " << t;
    }
  }
  const auto stats = crowded->stats();
  EXPECT_EQ(stats.used_blocks, 0);
  EXPECT_EQ(stats.running_rows + stats.waiting_requests, 0);
}

INSTANTIATE_TEST_SUITE_P(Random, DeviceStepSchedules, testing::Range<uint64_t>(0, 3));

}  // namespace
}  // namespace pretend_cuda
