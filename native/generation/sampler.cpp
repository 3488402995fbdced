#include "generation/sampler.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <unordered_set>

#include "core/error.h"
#include "core/mixed_seed.h"

namespace facellm {
namespace {

// Divides positive and multiplies negative scores of every id already seen, once each.
void penalise(std::vector<float>& scores, std::span<const int32_t> seen_ids, double penalty) {
  const auto factor = static_cast<float>(penalty);
  for (const int32_t id : std::unordered_set<int32_t>(seen_ids.begin(), seen_ids.end())) {
    auto& score = scores[static_cast<size_t>(id)];
    score = score < 0 ? score * factor : score / factor;
  }
}

}  // namespace

Sampler::Sampler(const SamplingOptions& options, uint64_t row)
    // Twice: row 0 of seed 1 is no row of seed 0.
    : options_(options), generator_(mixed_seed(mixed_seed(options.seed, 0), row)) {}

std::vector<Sampler::Candidate> Sampler::candidates(std::span<const float> logits,
                                                    std::span<const int32_t> seen_ids) const {
  std::vector<float> scores(logits.begin(), logits.end());
  if (options_.repetition_penalty != 1.0) penalise(scores, seen_ids, options_.repetition_penalty);
  if (!options_.is_greedy) {
    for (auto& score : scores) score /= static_cast<float>(options_.temperature);
  }
  // Everything below the k-th largest goes; scores equal to it stay, as in the reference.
  float threshold = -std::numeric_limits<float>::infinity();
  const auto k = static_cast<size_t>(options_.top_k);
  if (k > 0 && k < scores.size()) {
    std::vector<float> copy = scores;
    std::nth_element(copy.begin(), copy.begin() + static_cast<int64_t>(k) - 1, copy.end(),
                     std::greater<>());
    threshold = copy[k - 1];
  }
  std::vector<Candidate> kept;
  const float top = *std::max_element(scores.begin(), scores.end());
  double total = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    if (scores[i] < threshold) continue;
    const double weight = std::exp(static_cast<double>(scores[i] - top));
    total += weight;
    kept.push_back({static_cast<int32_t>(i), scores[i], weight});
  }
  if (options_.top_p < 1.0) {
    // Most probable first, until their sum reaches top_p; at least one stays.
    std::stable_sort(kept.begin(), kept.end(),
                     [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
    double before = 0;
    size_t count = 0;
    while (count < kept.size() && (count == 0 || before < options_.top_p)) {
      before += kept[count++].weight / total;
    }
    kept.resize(count);
  }
  if (options_.min_p > 0.0) {
    // Weights are relative to the most probable token, whose weight is 1.
    std::erase_if(kept, [&](const Candidate& c) { return c.weight < options_.min_p; });
  }
  return kept;
}

std::vector<float> Sampler::probabilities(std::span<const float> logits,
                                          std::span<const int32_t> seen_ids) const {
  std::vector<float> result(logits.size(), 0.f);
  const auto kept = candidates(logits, seen_ids);
  double total = 0;
  for (const auto& c : kept) total += c.weight;
  for (const auto& c : kept) result[static_cast<size_t>(c.id)] = static_cast<float>(c.weight / total);
  return result;
}

int32_t Sampler::sample(std::span<const float> logits, std::span<const int32_t> seen_ids) {
  for (const float logit : logits) {
    if (!std::isnan(logit) && logit != std::numeric_limits<float>::infinity()) continue;
    throw Error(ErrorCode::kNonFinite, "the model's logits hold NaN or infinity");
  }
  if (options_.is_greedy) {
    std::vector<float> scores(logits.begin(), logits.end());
    if (options_.repetition_penalty != 1.0) penalise(scores, seen_ids, options_.repetition_penalty);
    return static_cast<int32_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
  }
  const auto kept = candidates(logits, seen_ids);
  double total = 0;
  for (const auto& c : kept) total += c.weight;
  // 53 random bits: the same draw on every platform, which std::uniform_real_distribution is not.
  double rest = static_cast<double>(generator_() >> 11) * 0x1.0p-53 * total;
  for (const auto& c : kept) {
    rest -= c.weight;
    if (rest < 0) return c.id;
  }
  return kept.back().id;
}

}  // namespace facellm
