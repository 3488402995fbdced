// The order and meaning of transformers' logits processors on distributions worked out by hand.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "checkpoint/checkpoint.h"
#include "core/error.h"
#include "generation/sampler.h"

namespace facellm {
namespace {

const SamplingOptions kPlain{false, 1.0, 0, 1.0, 0.0, 1.0, 1};

// Logs of these probabilities.
std::vector<float> logits(std::initializer_list<double> probabilities) {
  std::vector<float> result;
  for (const double p : probabilities) result.push_back(static_cast<float>(std::log(p)));
  return result;
}

void expect_near(const std::vector<float>& actual, std::initializer_list<double> expected) {
  ASSERT_EQ(actual.size(), expected.size());
  size_t i = 0;
  for (const double want : expected) EXPECT_NEAR(actual[i++], want, 1e-6);
}

TEST(Sampler, FiltersOneByOne) {
  const auto p = logits({0.1, 0.4, 0.3, 0.2});
  auto options = kPlain;
  expect_near(Sampler(options, 0).probabilities(p, {}), {0.1, 0.4, 0.3, 0.2});
  options.top_k = 2;
  expect_near(Sampler(options, 0).probabilities(p, {}), {0, 4.0 / 7, 3.0 / 7, 0});
  options = kPlain;
  options.top_p = 0.65;  // 0.4 and 0.3 reach it
  expect_near(Sampler(options, 0).probabilities(p, {}), {0, 4.0 / 7, 3.0 / 7, 0});
  options.top_p = 0.01;  // one always stays
  expect_near(Sampler(options, 0).probabilities(p, {}), {0, 1, 0, 0});
  options = kPlain;
  options.min_p = 0.6;  // of 0.4: 0.24
  expect_near(Sampler(options, 0).probabilities(p, {}), {0, 4.0 / 7, 3.0 / 7, 0});
  options = kPlain;
  options.temperature = 0.5;  // squares
  expect_near(Sampler(options, 0).probabilities(p, {}), {0.01 / 0.3, 0.16 / 0.3, 0.09 / 0.3, 0.04 / 0.3});
}

// scripts/export-sampler-fixture.py: distributions made by transformers' processors.
TEST(Sampler, EqualsTransformers) {
  const auto fixture = Checkpoint::open({FACELLM_FIXTURES "/sampler.safetensors"}, {});
  const auto values = [&](int index, const char* name) {
    const auto tensor = fixture.view(std::to_string(index) + name);
    const auto* data = tensor.const_data_ptr<float>();
    return std::vector<float>(data, data + tensor.numel());
  };
  int index = 0;
  for (; fixture.entries().contains(std::to_string(index) + ".logits"); ++index) {
    const auto o = values(index, ".options");
    const auto seen = values(index, ".seen");
    const SamplingOptions options{false, o[0], static_cast<int64_t>(o[1]), o[2], o[3], o[4], 1};
    const auto actual = Sampler(options, 0).probabilities(
        values(index, ".logits"), std::vector<int32_t>(seen.begin(), seen.end()));
    const auto expected = values(index, ".probabilities");
    ASSERT_EQ(actual.size(), expected.size());
    // Probabilities of at most 1 from fp32 scores of magnitude 30: 30 * 2^-24 each way.
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(actual[i], expected[i], 4e-6) << "case " << index << ", id " << i;
    }
  }
  EXPECT_EQ(index, 24);
}

TEST(Sampler, TopKKeepsTies) {
  auto options = kPlain;
  options.top_k = 1;
  expect_near(Sampler(options, 0).probabilities(logits({0.4, 0.2, 0.4}), {}), {0.5, 0, 0.5});
}

TEST(Sampler, RepetitionPenaltyCountsAnIdOnce) {
  auto options = kPlain;
  options.repetition_penalty = 2.0;
  const std::vector<float> scores{2.f, -1.f, 0.f};
  const std::vector<int32_t> seen{0, 0, 1};
  const double a = std::exp(1.0), b = std::exp(-2.0), c = 1.0;
  expect_near(Sampler(options, 0).probabilities(scores, seen),
              {a / (a + b + c), b / (a + b + c), c / (a + b + c)});
  options.is_greedy = true;
  options.repetition_penalty = 4.0;
  EXPECT_EQ(Sampler(options, 0).sample(std::vector<float>{2.f, 1.f}, std::vector<int32_t>{0}), 1);
}

TEST(Sampler, GreedyTakesTheLowestOfEquals) {
  auto options = kPlain;
  options.is_greedy = true;
  EXPECT_EQ(Sampler(options, 0).sample(std::vector<float>{1.f, 3.f, 3.f}, {}), 1);
}

TEST(Sampler, DrawsFollowTheDistributionAndTheSeed) {
  const auto p = logits({0.1, 0.6, 0.3});
  std::array<int, 3> counts{};
  Sampler sampler(kPlain, 0), again(kPlain, 0), other(kPlain, 1);
  int differing = 0;
  constexpr int kDraws = 20'000;
  for (int i = 0; i < kDraws; ++i) {
    const int32_t id = sampler.sample(p, {});
    ++counts[static_cast<size_t>(id)];
    EXPECT_EQ(again.sample(p, {}), id);
    differing += other.sample(p, {}) != id;
  }
  EXPECT_GT(differing, 0);
  // Five standard deviations of a binomial count: the seed is fixed, this is no gamble.
  const double expected[] = {0.1, 0.6, 0.3};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(counts[i], kDraws * expected[i],
                5 * std::sqrt(kDraws * expected[i] * (1 - expected[i])));
  }
}

TEST(Sampler, StreamsOfSeedsAndRowsDoNotOverlap) {
  const std::vector<float> p(1000, 0.f);
  std::set<std::vector<int32_t>> streams;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    for (uint64_t row = 0; row < 8; ++row) {
      auto options = kPlain;
      options.seed = seed;
      Sampler sampler(options, row);
      std::vector<int32_t> drawn;
      for (int i = 0; i < 4; ++i) drawn.push_back(sampler.sample(p, {}));
      streams.insert(drawn);
    }
  }
  // Four draws of a thousand: two of 64 independent streams agree once in 5e8 sets of seeds.
  EXPECT_EQ(streams.size(), 64u);
}

TEST(Sampler, RefusesWhatIsNoNumber) {
  const std::vector<float> bad{1.f, std::numeric_limits<float>::quiet_NaN()};
  EXPECT_THROW(Sampler(kPlain, 0).sample(bad, {}), Error);
}

}  // namespace
}  // namespace facellm
