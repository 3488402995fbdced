// The order and meaning of transformers' logits processors on distributions worked out by hand, on those of
// transformers itself, and beside a plain version of all processors; then what a draw does with a distribution.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <set>

#include "checkpoint/checkpoint.h"
#include "core/error.h"
#include "generation/sampler.h"

namespace facellm {
namespace {

using Ids = std::vector<int32_t>;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

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

TokenHistory history(const SamplingOptions& options, const Ids& prompt, const Ids& generated = {}) {
  TokenHistory result(options, prompt);
  for (const int32_t id : generated) result.add(id);
  return result;
}

// What may be asked of a token beside options and logits.
struct Asked {
  Ids prompt = {}, generated = {}, end_ids = {};
  std::vector<uint32_t> mask = {};
  uint32_t choice = 0;
};

std::vector<float> probabilities(const SamplingOptions& options, const std::vector<float>& scores,
                                 const Asked& asked = {}) {
  SamplerScratch scratch;
  const auto past = history(options, asked.prompt, asked.generated);
  return draw_probabilities(options, {scores, past, asked.choice, asked.end_ids, asked.mask}, scratch);
}

struct Drawn {
  int32_t id;
  float log_prob, mask_mass;
  std::vector<TokenLogProb> top;
};

Drawn draw(const SamplingOptions& options, const std::vector<float>& scores, const Asked& asked = {}) {
  static SamplerScratch scratch;  // shared by all: what is in it must not matter
  const auto past = history(options, asked.prompt, asked.generated);
  const auto result = draw_token(options, {scores, past, asked.choice, asked.end_ids, asked.mask}, scratch);
  return {result.id, result.log_prob, result.mask_mass, {result.top.begin(), result.top.end()}};
}

SamplingOptions greedy() {
  SamplingOptions options;
  options.is_greedy = true;
  return options;
}

ErrorCode error_of(const SamplingOptions& options, const std::vector<float>& scores, const Asked& asked,
                   const std::string& text) {
  try {
    draw(options, scores, asked);
  } catch (const Error& error) {
    EXPECT_NE(error.message().find(text), std::string::npos) << error.message();
    return error.code();
  }
  ADD_FAILURE() << "no error: " << text;
  return ErrorCode::kInternal;
}

std::vector<uint32_t> mask_of(size_t vocabulary, const std::set<int32_t>& allowed) {
  std::vector<uint32_t> mask((vocabulary + 31) / 32, 0);
  for (const int32_t id : allowed) mask[static_cast<size_t>(id) / 32] |= uint32_t{1} << (id % 32);
  return mask;
}

TEST(Sampler, FiltersOneByOne) {
  const auto p = logits({0.1, 0.4, 0.3, 0.2});
  SamplingOptions options;
  expect_near(probabilities(options, p), {0.1, 0.4, 0.3, 0.2});
  options.top_k = 2;
  expect_near(probabilities(options, p), {0, 4.0 / 7, 3.0 / 7, 0});
  options = {};
  options.top_p = 0.65;  // 0.4 and 0.3 reach it
  expect_near(probabilities(options, p), {0, 4.0 / 7, 3.0 / 7, 0});
  options.top_p = 0.01;  // one always stays
  expect_near(probabilities(options, p), {0, 1, 0, 0});
  options = {};
  options.min_p = 0.6;  // of 0.4: 0.24
  expect_near(probabilities(options, p), {0, 4.0 / 7, 3.0 / 7, 0});
  options = {};
  options.temperature = 0.5;  // squares
  expect_near(probabilities(options, p), {0.01 / 0.3, 0.16 / 0.3, 0.09 / 0.3, 0.04 / 0.3});
  options.temperature = 1e-300;
  expect_near(probabilities(options, p), {0, 1, 0, 0});
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
    const auto actual = probabilities(options, values(index, ".logits"), {.prompt = Ids(seen.begin(), seen.end())});
    const auto expected = values(index, ".probabilities");
    ASSERT_EQ(actual.size(), expected.size());
    // Probabilities of at most 1 from fp32 scores of magnitude 30: 30 * 2^-24 each way.
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(actual[i], expected[i], 4e-6) << "case " << index << ", id " << i;
    }
  }
  EXPECT_EQ(index, 24);
}

// Every processor as it is defined, on whole vectors in double.
struct Plain {
  std::vector<double> scores;         // before temperature
  std::vector<double> probabilities;  // after all
};

Plain plain(const SamplingOptions& o, const std::vector<float>& from, const Asked& asked) {
  const size_t vocabulary = from.size();
  std::vector<double> s(from.begin(), from.end());
  const auto at = [&](int32_t id) -> double& { return s[static_cast<size_t>(id)]; };
  std::set<int32_t> seen(asked.prompt.begin(), asked.prompt.end());
  seen.insert(asked.generated.begin(), asked.generated.end());
  for (const int32_t id : seen) at(id) *= at(id) < 0 ? o.repetition_penalty : 1 / o.repetition_penalty;
  for (const int32_t id : asked.generated) at(id) -= o.frequency_penalty;
  for (const int32_t id : std::set<int32_t>(asked.generated.begin(), asked.generated.end())) at(id) -= o.presence_penalty;
  for (const auto& [id, bias] : o.logit_bias) at(id) += bias;
  if (static_cast<int64_t>(asked.generated.size()) < o.min_tokens) {
    for (const int32_t id : asked.end_ids) at(id) = -INFINITY;
  }
  for (size_t i = 0; i < vocabulary && !asked.mask.empty(); ++i) {
    if ((asked.mask[i / 32] >> (i % 32) & 1) == 0) s[i] = -INFINITY;
  }
  Plain result{s, {}};
  if (!o.is_greedy) {
    for (auto& score : s) score /= o.temperature;
    if (o.top_k > 0 && static_cast<size_t>(o.top_k) < vocabulary) {
      auto sorted = s;
      std::sort(sorted.begin(), sorted.end(), std::greater<>());
      const double least = sorted[static_cast<size_t>(o.top_k) - 1];
      for (auto& score : s) score = score < least ? -INFINITY : score;
    }
  }
  const auto softmax = [](const std::vector<double>& scores) {
    const double top = *std::max_element(scores.begin(), scores.end());
    std::vector<double> p;
    for (const double score : scores) p.push_back(std::exp(score - top));
    const double sum = std::accumulate(p.begin(), p.end(), 0.0);
    for (auto& x : p) x /= sum;
    return p;
  };
  auto p = softmax(s);
  if (!o.is_greedy && o.top_p < 1) {
    std::vector<size_t> order(vocabulary);
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return s[a] > s[b]; });
    double before = 0;
    for (size_t i = 0; i < vocabulary; ++i) {
      if (i > 0 && before >= o.top_p) s[order[i]] = -INFINITY;
      before += p[order[i]];
    }
    p = softmax(s);
  }
  if (!o.is_greedy && o.min_p > 0) {
    const double most = *std::max_element(p.begin(), p.end());
    for (size_t i = 0; i < vocabulary; ++i) s[i] = p[i] < o.min_p * most ? -INFINITY : s[i];
    p = softmax(s);
  }
  result.probabilities = p;
  return result;
}

// Of the sum over a vocabulary, relatively: 32 additions a lane and 8 lanes, an exponential's own 2e-7, and exponents of
// magnitude 16 (smaller terms do not count) rounded twice.
constexpr double kSumError = (40 + 32) * 0x1p-24 + 2e-7;
// Of one probability: scores of magnitude 30 after temperature, rounded at up to five steps.
constexpr double kProbabilityError = kSumError + 5 * 30 * 0x1p-24;

struct Case {
  SamplingOptions options;
  std::vector<float> scores;
  Asked asked;
};

Case random_case(std::mt19937& random) {
  const auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  const auto between = [&](double a, double b) { return std::uniform_real_distribution<double>(a, b)(random); };
  const auto sometimes = [&] { return below(2) == 0; };
  Case c;
  constexpr std::array<size_t, 8> kSizes{3, 31, 256, 257, 1000, 4096, 20'011, 70'000};
  const size_t vocabulary = kSizes[below(kSizes.size())];
  std::normal_distribution<float> normal(0, static_cast<float>(between(0.1, 4)));
  for (size_t i = 0; i < vocabulary; ++i) c.scores.push_back(normal(random));
  // Ties: bf16-like steps.
  if (sometimes()) {
    for (auto& score : c.scores) score = std::round(score * 8) / 8;
  }
  const auto ids = [&](size_t count) {
    Ids result;
    for (size_t i = 0; i < count; ++i) result.push_back(static_cast<int32_t>(below(vocabulary)));
    return result;
  };
  auto& o = c.options;
  o.seed = random();
  o.is_greedy = below(4) == 0;
  if (sometimes()) o.temperature = between(0.3, 2);
  if (sometimes()) o.top_k = static_cast<int64_t>(1 + below(std::min<size_t>(vocabulary + 2, 500)));
  if (sometimes()) o.top_p = between(0.05, 0.999);
  if (below(3) == 0) o.min_p = between(0.001, 0.5);
  if (sometimes()) o.repetition_penalty = between(0.5, 2);
  if (sometimes()) o.frequency_penalty = between(-2, 2);
  if (sometimes()) o.presence_penalty = between(-2, 2);
  if (sometimes()) {
    for (const int32_t id : ids(3)) o.logit_bias.emplace_back(id, static_cast<float>(between(-5, 5)));
  }
  if (sometimes()) o.min_tokens = static_cast<int64_t>(below(8));
  c.asked.prompt = ids(below(20));
  c.asked.generated = ids(below(10));
  c.asked.end_ids = ids(2);
  if (sometimes()) {
    std::set<int32_t> allowed;
    for (const int32_t id : ids(1 + vocabulary / 2)) allowed.insert(id);
    for (const int32_t end : c.asked.end_ids) allowed.erase(end);
    if (!allowed.empty()) c.asked.mask = mask_of(vocabulary, allowed);
  }
  if (vocabulary < 32 && o.min_tokens > 0) c.asked.end_ids = {0};
  if (vocabulary < 32 && o.min_tokens > 0 && !c.asked.mask.empty()) c.asked.mask[0] |= 6;
  o.log_probs = sometimes() ? LogProbs::kRaw : LogProbs::kProcessed;
  o.top_log_probs = static_cast<int64_t>(below(21));
  c.asked.choice = static_cast<uint32_t>(below(4));
  return c;
}

TEST(Sampler, EqualsThePlainVersionOfEveryProcessor) {
  std::mt19937 random(5);
  for (int run = 0; run < 600; ++run) {
    SCOPED_TRACE("run " + std::to_string(run));
    const auto c = random_case(random);
    const auto expected = plain(c.options, c.scores, c.asked);
    const auto raw = plain({}, c.scores, {});
    const auto drawn = draw(c.options, c.scores, c.asked);
    const auto id = static_cast<size_t>(drawn.id);
    if (c.options.is_greedy) {
      // Repetition and the like round in fp32: what wins there is within that of the largest.
      const double most = *std::max_element(expected.scores.begin(), expected.scores.end());
      EXPECT_NEAR(expected.scores[id], most, 5 * 30 * 0x1p-24);
    } else {
      const auto actual = probabilities(c.options, c.scores, c.asked);
      for (size_t i = 0; i < actual.size(); ++i) {
        ASSERT_NEAR(actual[i], expected.probabilities[i], kProbabilityError * expected.probabilities[i]) << "id " << i;
      }
      EXPECT_GT(expected.probabilities[id], 0);
    }
    // Log-probabilities: of the drawn, and of the most probable.
    const bool is_raw = c.options.log_probs == LogProbs::kRaw;
    const auto& p = is_raw ? raw.probabilities : expected.probabilities;
    const auto expect_log_prob = [&](const TokenLogProb& entry) {
      const double log_prob = std::log(p[static_cast<size_t>(entry.id)]);
      // An fp32 result's own rounding beside.
      EXPECT_NEAR(entry.log_prob, log_prob, kProbabilityError + std::abs(log_prob) * 0x1p-24) << "id " << entry.id;
    };
    expect_log_prob({drawn.id, drawn.log_prob});
    std::vector<double> sorted = p;
    std::sort(sorted.begin(), sorted.end(), std::greater<>());
    const auto possible = static_cast<size_t>(std::count_if(p.begin(), p.end(), [](double x) { return x > 0; }));
    ASSERT_EQ(drawn.top.size(), std::min(static_cast<size_t>(c.options.top_log_probs), possible));
    for (size_t i = 0; i < drawn.top.size(); ++i) {
      expect_log_prob(drawn.top[i]);
      EXPECT_NEAR(drawn.top[i].log_prob, std::log(sorted[i]), kProbabilityError + std::abs(std::log(sorted[i])) * 0x1p-24);
      if (i == 0) continue;
      const auto &a = drawn.top[i - 1], &b = drawn.top[i];
      EXPECT_GE(a.log_prob, b.log_prob);
      const bool are_equal = is_raw && c.scores[static_cast<size_t>(a.id)] == c.scores[static_cast<size_t>(b.id)];
      EXPECT_TRUE(!are_equal || a.id < b.id);
    }
    double mass = 0;
    for (size_t i = 0; i < raw.probabilities.size(); ++i) {
      const bool is_allowed = c.asked.mask.empty() || (c.asked.mask[i / 32] >> (i % 32) & 1) != 0;
      mass += is_allowed ? raw.probabilities[i] : 0;
    }
    EXPECT_NEAR(drawn.mask_mass, mass, 2 * kSumError * mass);
    // An equal key gives an equal draw, whatever was drawn in between.
    EXPECT_EQ(draw(c.options, c.scores, c.asked).id, drawn.id);
  }
}

TEST(Sampler, TopKKeepsTies) {
  SamplingOptions options;
  options.top_k = 1;
  expect_near(probabilities(options, logits({0.4, 0.2, 0.4})), {0.5, 0, 0.5});
  // Over many blocks: the second largest stands in each of ten.
  std::vector<float> scores(2560, 0.f);
  for (size_t i = 0; i < 10; ++i) scores[i * 256 + 3 * i] = 5;
  scores[7] = 6;
  options.top_k = 2;
  const auto p = probabilities(options, scores);
  EXPECT_EQ(std::count_if(p.begin(), p.end(), [](float x) { return x > 0; }), 11);
}

TEST(Sampler, RepetitionPenaltyCountsAnIdOnce) {
  SamplingOptions options;
  options.repetition_penalty = 2.0;
  const double a = std::exp(1.0), b = std::exp(-2.0), c = 1.0;
  expect_near(probabilities(options, {2.f, -1.f, 0.f}, {.prompt = {0, 0, 1}}),
              {a / (a + b + c), b / (a + b + c), c / (a + b + c)});
  options.is_greedy = true;
  options.repetition_penalty = 4.0;
  EXPECT_EQ(draw(options, {2.f, 1.f}, {.prompt = {0}}).id, 1);
}

TEST(Sampler, FrequencyAndPresenceCountGeneratedIdsAlone) {
  auto options = greedy();
  options.frequency_penalty = 1;
  const std::vector<float> scores{5, 4.5, 2.5};
  EXPECT_EQ(draw(options, scores, {.prompt = {0, 0, 0}}).id, 0);
  EXPECT_EQ(draw(options, scores, {.generated = {0}}).id, 1);
  EXPECT_EQ(draw(options, scores, {.generated = {0, 1}}).id, 0);
  EXPECT_EQ(draw(options, scores, {.generated = {0, 1, 0, 1, 0, 1}}).id, 2);
  options.frequency_penalty = 0;
  options.presence_penalty = 1;
  EXPECT_EQ(draw(options, scores, {.generated = {0, 1, 0, 1, 0, 1}}).id, 0);
}

TEST(Sampler, EndsAreForbiddenUntilTheLeastLength) {
  auto options = greedy();
  options.min_tokens = 2;
  const std::vector<float> scores{1, 9, 8, 0};
  EXPECT_EQ(draw(options, scores, {.end_ids = {1, 2}}).id, 0);
  EXPECT_EQ(draw(options, scores, {.generated = {0}, .end_ids = {1, 2}}).id, 0);
  EXPECT_EQ(draw(options, scores, {.generated = {0, 0}, .end_ids = {1, 2}}).id, 1);
}

TEST(Sampler, GreedyTakesTheLowestOfEquals) {
  EXPECT_EQ(draw(greedy(), {1.f, 3.f, 3.f}).id, 1);
  std::vector<float> scores(1000, -1.f);
  scores[999] = scores[998] = scores[300] = 2;
  EXPECT_EQ(draw(greedy(), scores).id, 300);
  EXPECT_EQ(draw(greedy(), scores, {.mask = mask_of(1000, {0, 998, 999})}).id, 998);
}

TEST(Sampler, AMaskHoldsWhateverIsAsked) {
  std::vector<float> scores(600);
  std::iota(scores.begin(), scores.end(), 0.f);
  const std::set<int32_t> allowed{3, 64, 301};
  SamplingOptions options;
  options.temperature = 1000;  // almost uniform
  options.logit_bias = {{5, 100.f}};
  std::set<int32_t> drawn;
  for (uint32_t choice = 0; choice < 60; ++choice) {
    drawn.insert(draw(options, scores, {.mask = mask_of(600, allowed), .choice = choice}).id);
  }
  EXPECT_EQ(drawn, allowed);
}

TEST(Sampler, NothingLeftIsAnErrorThatSaysWhy) {
  const std::vector<float> scores{1, 2, 3, 4};
  for (auto options : {greedy(), SamplingOptions{}}) {
    EXPECT_EQ(error_of(options, scores, {.mask = {0}}, "mask forbids every id"), ErrorCode::kInvalidArgument);
    EXPECT_EQ(error_of(options, scores, {.mask = {0xfffffff0}}, "mask forbids every id"), ErrorCode::kInvalidArgument);
    options.min_tokens = 1;
    EXPECT_EQ(error_of(options, scores, {.end_ids = {2}, .mask = {4}}, "only ids that end the answer"),
              ErrorCode::kInvalidArgument);
    EXPECT_EQ(draw(options, scores, {.generated = {0}, .end_ids = {2}, .mask = {4}}).id, 2);
    EXPECT_EQ(error_of(options, {1, -kInfinity}, {.mask = {2}}, "-infinity"), ErrorCode::kNonFinite);
    options.logit_bias = {{4, 1.f}};
    EXPECT_EQ(error_of(options, scores, {}, "id 4 is outside"), ErrorCode::kInvalidArgument);
  }
  EXPECT_EQ(error_of(greedy(), std::vector<float>(33, 1.f), {.mask = {~0u}}, "expected 2 words"),
            ErrorCode::kInvalidArgument);
}

TEST(Sampler, RefusesWhatIsNoNumberWhereverItStands) {
  for (const size_t place : {size_t{0}, size_t{255}, size_t{256}, size_t{511}, size_t{512}, size_t{520}}) {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), kInfinity}) {
      std::vector<float> scores(521, 1.f);
      scores[place] = bad;
      EXPECT_EQ(error_of({}, scores, {}, "not finite"), ErrorCode::kNonFinite);
      EXPECT_EQ(error_of(greedy(), scores, {}, "not finite"), ErrorCode::kNonFinite);
    }
    std::vector<float> scores(521, 1.f);
    scores[place] = -kInfinity;  // is allowed: an id that never comes
    EXPECT_EQ(probabilities({}, scores)[place], 0.f);
  }
  EXPECT_EQ(error_of(greedy(), std::vector<float>(9, -kInfinity), {}, "not finite"), ErrorCode::kNonFinite);
}

// Pearson's statistic of `draws` draws over groups of ids.
double chi_square(const SamplingOptions& options, const std::vector<float>& scores, int draws, size_t groups) {
  const auto p = probabilities(options, scores);
  std::vector<double> expected(groups, 0), counted(groups, 0);
  for (size_t i = 0; i < p.size(); ++i) expected[i % groups] += p[i] * draws;
  SamplerScratch scratch;
  TokenHistory past(options, {});
  for (int i = 0; i < draws; ++i) {
    const int32_t id = draw_token(options, {scores, past}, scratch).id;
    EXPECT_GT(p[static_cast<size_t>(id)], 0);
    counted[static_cast<size_t>(id) % groups] += 1;
    past.add(id);
  }
  double sum = 0;
  for (size_t i = 0; i < groups; ++i) sum += (counted[i] - expected[i]) * (counted[i] - expected[i]) / expected[i];
  return sum;
}

TEST(Sampler, DrawsFollowTheDistribution) {
  std::mt19937 random(11);
  std::normal_distribution<float> normal(0, 1);
  std::vector<float> scores(1000);
  for (auto& score : scores) score = normal(random);
  SamplingOptions plain_draw, warm, filtered;
  warm.temperature = 1.7;
  filtered.top_k = 400;
  filtered.top_p = 0.9;
  filtered.min_p = 0.01;
  for (auto options : {plain_draw, warm, filtered}) {
    for (const uint64_t seed : {1, 2, 3}) {
      options.seed = seed;
      // 19 degrees of freedom: above 63 once in two million. The seeds are fixed, this is no gamble.
      EXPECT_LT(chi_square(options, scores, 20'000, 20), 63) << seed;
    }
  }
}

TEST(Sampler, StreamsOfSeedsAndChoicesDoNotOverlap) {
  const std::vector<float> p(1000, 0.f);
  std::set<Ids> streams;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    for (uint32_t choice = 0; choice < 8; ++choice) {
      SamplingOptions options;
      options.seed = seed;
      Asked asked{.choice = choice};
      for (int i = 0; i < 4; ++i) asked.generated.push_back(draw(options, p, asked).id);
      streams.insert(asked.generated);
    }
  }
  // Four draws of a thousand: two of 64 independent streams agree once in 5e8 sets of seeds.
  EXPECT_EQ(streams.size(), 64u);
}

}  // namespace
}  // namespace facellm
