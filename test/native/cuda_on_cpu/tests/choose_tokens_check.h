// choose_tokens_cuda.cu against the host's sampler, row by row: the same ids, log-probabilities as close as their sums are.
#pragma once

#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "comparison.h"
#include "core/error.h"
#include "generation/choice_rules.h"
#include "generation/sampler.h"

namespace facellm {

struct ChoiceCase {
  SamplingOptions options;
  float spread = 2.5f;  // of the logits
  std::vector<int32_t> prompt = {}, generated = {}, end_ids = {};
  int64_t masked = 0;  // every so many-th id is forbidden; 1: all; 0: no mask
  float special = 0;   // put among the logits where it is not 0
};

inline void put_log_prob(Comparison& comparison, float actual, float expected, const char* what, size_t row) {
  // The host's sum is within 2e-7 of itself and the kernel's within 2^-21, relatively; then one rounding of the result.
  const float allowed = 1e-6f + std::abs(expected) * 1.2e-7f;
  const bool is_close = std::abs(actual - expected) <= allowed;
  comparison.add(is_close ? expected : actual, expected, what, row);
}

// A row a case. `launcher`: choose_tokens_cuda, or another that claims to do the same.
template <typename T, typename Launcher>
Comparison check_choose_tokens(Launcher launcher, int64_t vocabulary, const std::vector<ChoiceCase>& cases, uint64_t seed) {
  const auto rows = cases.size();
  const auto words = static_cast<size_t>((vocabulary + 31) / 32), chunks = static_cast<size_t>((vocabulary + 255) / 256);
  std::mt19937 generator(static_cast<unsigned>(seed));
  std::normal_distribution<float> normal;
  cuda_on_cpu::Buffer<T> logits(rows * static_cast<size_t>(vocabulary), "logits");
  cuda_on_cpu::Buffer<ChoiceRule> rules(rows, "rules");
  cuda_on_cpu::Buffer<int64_t> numbers(rows, "numbers"), ids(rows, "ids");
  cuda_on_cpu::Buffer<uint32_t> masks(rows * words, "masks");
  cuda_on_cpu::Buffer<float> scores(logits.size(), "scores"), log_probs(rows, "log_probs");
  cuda_on_cpu::Buffer<ChunkScan> raw(rows * chunks, "raw"), edited(rows * chunks, "edited");
  cuda_on_cpu::Buffer<int32_t> statuses(rows, "statuses");
  std::vector<ScoreEdit> all_edits;
  std::vector<TokenHistory> histories;
  std::vector<SamplingOptions> options;
  for (size_t r = 0; r < rows; ++r) {
    const auto& own = cases[r];
    for (int64_t i = 0; i < vocabulary; ++i) {
      logits[r * static_cast<size_t>(vocabulary) + static_cast<size_t>(i)] = narrow<T>(normal(generator) * own.spread);
    }
    if (own.special != 0) {
      for (int64_t i = vocabulary / 3; i < vocabulary; i += vocabulary / 3 + 1) {
        logits[r * static_cast<size_t>(vocabulary) + static_cast<size_t>(i)] = narrow<T>(own.special);
      }
    }
    options.push_back(own.options);
    options.back().seed = seed * 1000003 + r;
    histories.emplace_back(options.back(), own.prompt);
    for (const int32_t id : own.generated) histories.back().add(id);
    numbers[r] = histories.back().generated();
    rules[r] = choice_rule(options.back(), static_cast<uint32_t>(r % 3));
    const DrawInput input{{}, histories.back(), static_cast<uint32_t>(r % 3), own.end_ids};
    append_edits(options.back(), input, vocabulary, all_edits, rules[r]);
    if (own.masked == 0) continue;
    rules[r].mask = static_cast<int32_t>(r);
    for (size_t w = 0; w < words; ++w) {
      masks[r * words + w] = ~0u;
      for (size_t i = 0; i < 32; ++i) {
        if ((32 * w + i) % static_cast<size_t>(own.masked) == 0) masks[r * words + w] &= ~(1u << i);
      }
    }
  }
  cuda_on_cpu::Buffer<ScoreEdit> edits(all_edits.size() + 1, "edits");
  std::copy(all_edits.begin(), all_edits.end(), edits.begin());
  launcher({logits.data(), rules.data(), numbers.data(), edits.data(), masks.data(), scores.data(), raw.data(), edited.data(),
            ids.data(), log_probs.data(), statuses.data(), static_cast<int64_t>(rows), vocabulary},
           is_bf16<T>, nullptr);
  Comparison comparison;
  SamplerScratch scratch;
  for (size_t r = 0; r < rows; ++r) {
    std::vector<float> own;
    for (int64_t i = 0; i < vocabulary; ++i) {
      own.push_back(wide(logits[r * static_cast<size_t>(vocabulary) + static_cast<size_t>(i)]));
    }
    DrawInput input{own, histories[r], static_cast<uint32_t>(r % 3), cases[r].end_ids};
    if (cases[r].masked != 0) input.mask = {masks.data() + r * words, words};
    auto status = ChoiceStatus::kChosen;
    std::optional<Draw> draw;
    try {
      draw = draw_token(options[r], input, scratch);
    } catch (const Error& error) {
      status = error.code() == ErrorCode::kNonFinite ? ChoiceStatus::kNonFinite : ChoiceStatus::kNothingLeft;
    }
    comparison.add(static_cast<float>(statuses[r]), static_cast<float>(status), "status of row", r);
    comparison.add(static_cast<float>(ids[r]), draw ? static_cast<float>(draw->id) : 0.f, "id of row", r);
    if (draw) put_log_prob(comparison, log_probs[r], draw->log_prob, "log-probability of row", r);
  }
  return comparison;
}

inline std::vector<ChoiceCase> choice_cases() {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const auto drawn = [](double temperature, int64_t top_k, double top_p, double min_p) {
    return SamplingOptions{.temperature = temperature, .top_k = top_k, .top_p = top_p, .min_p = min_p};
  };
  std::vector<ChoiceCase> cases{
      {{.is_greedy = true}},
      {{.is_greedy = true}, 0.01f},  // many equals
      {drawn(1, 0, 1, 0)},
      {drawn(0.7, 0, 1, 0)},
      {drawn(1.5, 0, 1, 0), 0.01f},
      {drawn(1, 1, 1, 0)},
      {drawn(0.8, 5, 1, 0)},
      {drawn(0.8, 40, 0.9, 0), 0.3f},
      {drawn(1, 1000000, 1, 0)},  // more than there are
      {drawn(1, 0, 0.9, 0)},
      {drawn(1.3, 0, 0.95, 0), 0.01f},
      {drawn(1, 0, 1e-9, 0)},
      {drawn(0.9, 0, 0.9999, 0), 0.5f},
      {drawn(1, 0, 1, 0.05)},
      {drawn(1, 0, 1, 1)},
      {drawn(1.2, 50, 0.9, 0.02)},
      {drawn(1e-9, 0, 1, 0)},
      {drawn(1, 3, 0.99, 0), 2.5f, {}, {}, {}, 2},
      {drawn(1, 0, 1, 0), 2.5f, {}, {}, {}, 3},
      {drawn(1, 0, 0.8, 0), 2.5f, {}, {}, {}, 0, -kInfinity},
      {{.is_greedy = true}, 2.5f, {}, {}, {}, 2},
      {{.is_greedy = true}, 2.5f, {}, {}, {}, 1},                                        // nothing is left
      {{.is_greedy = true}, 2.5f, {}, {}, {}, 0, std::numeric_limits<float>::quiet_NaN()},
      {drawn(1, 0, 1, 0), 2.5f, {}, {}, {}, 0, kInfinity},
      {{.is_greedy = true}, 2.5f, {}, {}, {}, 0, -kInfinity},
  };
  ChoiceCase penalties{{.is_greedy = true, .repetition_penalty = 1.4, .frequency_penalty = 0.7, .presence_penalty = 0.3}, 0.1f};
  penalties.prompt = {1, 2, 3, 4, 5, 6, 7};
  penalties.generated = {3, 3, 9, 10};
  cases.push_back(penalties);
  penalties.options.is_greedy = false;
  penalties.options.log_probs = LogProbs::kProcessed;
  penalties.options.logit_bias = {{2, 4.f}, {11, 5.f}, {12, -100.f}};
  cases.push_back(penalties);
  penalties.options.top_p = 0.5;
  penalties.options.min_tokens = 6;
  penalties.end_ids = {11, 2};
  penalties.masked = 2;
  cases.push_back(penalties);
  ChoiceCase processed{{.temperature = 0.6, .top_k = 20, .top_p = 0.7, .log_probs = LogProbs::kProcessed}};
  cases.push_back(processed);
  processed.options.is_greedy = true;
  cases.push_back(processed);
  return cases;
}

// Beside a chunk, and of several; a vocabulary of few ids.
template <typename Launcher>
Comparison check_choose_tokens_shapes(Launcher launcher) {
  Comparison all;
  for (const int64_t vocabulary : {13, 255, 256, 257, 2079}) {
    all.add(check_choose_tokens<float>(launcher, vocabulary, choice_cases(), static_cast<uint64_t>(vocabulary)));
    all.add(check_choose_tokens<__nv_bfloat16>(launcher, vocabulary, choice_cases(), static_cast<uint64_t>(vocabulary) + 1));
  }
  return all;
}

}  // namespace facellm
