#include "generation/sampler.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "core/error.h"
#include "core/philox.h"

namespace facellm {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();

// Scores after everything but temperature and filters. `scan`: their blocks, whose sums are of the temperature where
// the sum over the whole vocabulary is asked for.
struct Prepared {
  std::span<const float> scores;
  const ScoreScan* scan;
  float temperature;  // 1 for greedy choice
  bool has_top_k;
  float mask_mass;
};

double uniform(const SamplingOptions& options, const DrawInput& input) {
  return uniform_draw(options.seed, input.choice, static_cast<uint64_t>(input.history.generated()));
}

double log_sum(const ScoreScan& scan, float temperature = 1) {
  return static_cast<double>(scan.max / temperature) + std::log(scan.sum);
}

Prepared prepare(const SamplingOptions& options, const DrawInput& input, SamplerScratch& scratch) {
  Prepared result{input.logits, &scratch.raw, 1, false, 1};
  if (!options.is_greedy) {
    // Below a millionth the largest wins anyway; the quotients stay numbers.
    result.temperature = std::max(static_cast<float>(options.temperature), 1e-6f);
    result.has_top_k = options.top_k > 0 && static_cast<size_t>(options.top_k) < input.logits.size();
  }
  scan_scores(input.logits, 1, scratch.raw);
  if (!scratch.raw.is_number || !std::isfinite(scratch.raw.max / result.temperature)) {
    throw Error(ErrorCode::kNonFinite,
                "the model's logits are not finite numbers; the weights are damaged, or bf16 overflowed: try another "
                "checkpoint file, or dtype fp32");
  }
  const bool is_edited = edits_scores(options, input);
  if (is_edited || !input.mask.empty()) {
    scratch.scores.assign(input.logits.begin(), input.logits.end());
    result.scores = scratch.scores;
  }
  if (!input.mask.empty()) {
    mask_scores(scratch.scores, input.mask);
    scan_scores(scratch.scores, 1, scratch.masked);
    if (scratch.masked.max == kLowest) throw_nothing_left(options, input);
    result.mask_mass = static_cast<float>(std::exp(log_sum(scratch.masked) - log_sum(scratch.raw)));
    result.scan = &scratch.masked;
  }
  if (is_edited) edit_scores(scratch.scores, options, input);
  if (is_edited || (result.temperature != 1 && !result.has_top_k)) {
    scan_scores(result.scores, result.temperature, scratch.edited);
    if (scratch.edited.max == kLowest) throw_nothing_left(options, input);
    result.scan = &scratch.edited;
  }
  return result;
}

// A score, after temperature, that at least `count` ids reach: the count-th largest of the blocks' maxima. -infinity
// where there are fewer blocks.
float reached_by(size_t count, const ScoreScan& scan, float temperature, std::vector<float>& maxima) {
  if (count >= scan.blocks.size()) return kLowest;
  maxima.clear();
  for (const auto& block : scan.blocks) maxima.push_back(block.max);
  const auto place = maxima.begin() + static_cast<std::ptrdiff_t>(count) - 1;
  std::nth_element(maxima.begin(), place, maxima.end(), std::greater<>());
  return *place / temperature;
}

// All ids of a score of at least `least` after temperature, most probable first, lowest id first among equals.
void find_from(float least, std::span<const float> scores, const ScoreScan& scan, float temperature,
               std::vector<Candidate>& found) {
  const float top = scan.max / temperature;
  found.clear();
  for (size_t b = 0; b < scan.blocks.size(); ++b) {
    if (scan.blocks[b].max / temperature < least) continue;
    const size_t end = std::min(scores.size(), (b + 1) * kScanBlock);
    for (size_t i = b * kScanBlock; i < end; ++i) {
      // Rounding may make equals of scores that were none before temperature.
      const float score = scores[i] / temperature;
      if (score < least || score == kLowest) continue;
      found.push_back({static_cast<int32_t>(i), score, std::exp(static_cast<double>(score - top))});
    }
  }
  std::sort(found.begin(), found.end(), [](const Candidate& a, const Candidate& b) {
    return a.score > b.score || (a.score == b.score && a.id < b.id);
  });
}

// Most probable first, until their sum reaches top_p of `total`; at least one stays. False where it is not reached.
bool cut_to_top_p(std::vector<Candidate>& kept, double top_p, double total) {
  double before = 0;
  size_t count = 0;
  while (count < kept.size() && (count == 0 || before < top_p)) before += kept[count++].weight / total;
  kept.resize(count);
  return before >= top_p;
}

double total_weight(const std::vector<Candidate>& kept) {
  double total = 0;
  for (const auto& candidate : kept) total += candidate.weight;
  return total;
}

// What top-k, top-p and min-p leave, into scratch.kept.
void filter(const SamplingOptions& options, const Prepared& from, SamplerScratch& scratch) {
  auto& kept = scratch.kept;
  const auto reached = [&](size_t count) {
    return reached_by(count, *from.scan, from.temperature, scratch.maxima);
  };
  const auto find = [&](float least) { find_from(least, from.scores, *from.scan, from.temperature, kept); };
  if (from.has_top_k) {
    // Scores equal to the k-th largest stay, as in the reference.
    const auto k = static_cast<size_t>(options.top_k);
    find(reached(k));
    const float last = kept[std::min(k, kept.size()) - 1].score;
    while (kept.back().score < last) kept.pop_back();
    if (options.top_p < 1) cut_to_top_p(kept, options.top_p, total_weight(kept));
  } else if (options.top_p < 1) {
    // As many of the most probable as it takes: few, where the model knows what it says.
    for (size_t count = 64;; count *= 8) {
      const float least = reached(count);
      find(least);
      if (cut_to_top_p(kept, options.top_p, from.scan->sum) || least == kLowest) break;
    }
  } else {
    // A little more than stays, since the logarithm is rounded.
    find(from.scan->max / from.temperature + static_cast<float>(std::log(options.min_p)) * 1.0001f - 0.0001f);
  }
  // Weights are relative to the most probable token, whose weight is 1.
  while (kept.back().weight < options.min_p) kept.pop_back();
}

bool has_filter(const SamplingOptions& options, const Prepared& from) {
  return from.has_top_k || options.top_p < 1 || options.min_p > 0;
}

// The id at `rest` of the weights of all ids, laid end to end in their order; rest in [0, scan.sum). Where rounding
// leaves some of it at the end, the last id of any weight.
int32_t draw_from_all(const Prepared& from, double rest) {
  const auto& blocks = from.scan->blocks;
  const auto weight = [&, top = from.scan->max / from.temperature](float score) {
    return std::exp(static_cast<double>(score / from.temperature - top));
  };
  size_t block = 0;
  for (size_t b = 0; b < blocks.size(); ++b) {
    const double own = blocks[b].sum * weight(blocks[b].max);
    if (own == 0) continue;
    block = b;
    if (rest < own) break;
    rest -= own;
  }
  size_t drawn = 0;
  const size_t end = std::min(from.scores.size(), (block + 1) * kScanBlock);
  for (size_t i = block * kScanBlock; i < end; ++i) {
    const double own = weight(from.scores[i]);
    if (own == 0) continue;
    drawn = i;
    if (rest < own) break;
    rest -= own;
  }
  return static_cast<int32_t>(drawn);
}

int32_t largest(const Prepared& from) {
  const auto& blocks = from.scan->blocks;
  size_t b = 0;
  while (blocks[b].max != from.scan->max) ++b;
  size_t i = b * kScanBlock;
  while (from.scores[i] != from.scan->max) ++i;
  return static_cast<int32_t>(i);
}

// Index into `kept` of the candidate at `rest` of their weights.
size_t draw_from(const std::vector<Candidate>& kept, double rest) {
  size_t i = 0;
  while (i + 1 < kept.size() && rest >= kept[i].weight) rest -= kept[i++].weight;
  return i;
}

// The first `count` of candidates, as log-probabilities.
void list_top(const std::vector<Candidate>& from, size_t count, double log_total, std::vector<TokenLogProb>& top) {
  top.clear();
  for (size_t i = 0; i < std::min(count, from.size()); ++i) {
    top.push_back({from[i].id, static_cast<float>(static_cast<double>(from[i].score) - log_total)});
  }
}

}  // namespace

Draw draw_token(const SamplingOptions& options, const DrawInput& input, SamplerScratch& scratch) {
  const auto from = prepare(options, input, scratch);
  const bool is_filtered = !options.is_greedy && has_filter(options, from);
  const bool is_raw = options.log_probs == LogProbs::kRaw;
  Draw draw{0, 0, from.mask_mass, {}};
  // Of the distribution drawn from.
  double log_total = 0;
  if (is_filtered) {
    filter(options, from, scratch);
    const double total = total_weight(scratch.kept);
    log_total = static_cast<double>(from.scan->max / from.temperature) + std::log(total);
    draw.id = scratch.kept[draw_from(scratch.kept, uniform(options, input) * total)].id;
  } else {
    draw.id = options.is_greedy ? largest(from) : draw_from_all(from, uniform(options, input) * from.scan->sum);
    log_total = log_sum(*from.scan, from.temperature);
  }
  const auto id = static_cast<size_t>(draw.id);
  const double raw_log_total = log_sum(scratch.raw);
  draw.log_prob = static_cast<float>(is_raw ? input.logits[id] - raw_log_total
                                            : from.scores[id] / from.temperature - log_total);
  if (options.top_log_probs == 0) return draw;
  const auto count = static_cast<size_t>(options.top_log_probs);
  if (is_raw || !is_filtered) {
    const auto& scan = is_raw ? scratch.raw : *from.scan;
    const float temperature = is_raw ? 1 : from.temperature;
    find_from(reached_by(count, scan, temperature, scratch.maxima), is_raw ? input.logits : from.scores, scan,
              temperature, scratch.best);
  }
  list_top(!is_raw && is_filtered ? scratch.kept : scratch.best, count, is_raw ? raw_log_total : log_total, scratch.top);
  draw.top = scratch.top;
  return draw;
}

std::vector<float> draw_probabilities(const SamplingOptions& options, const DrawInput& input,
                                      SamplerScratch& scratch) {
  const auto from = prepare(options, input, scratch);
  std::vector<float> result(input.logits.size(), 0.f);
  if (options.is_greedy) {
    result[static_cast<size_t>(largest(from))] = 1;
  } else if (has_filter(options, from)) {
    filter(options, from, scratch);
    const double total = total_weight(scratch.kept);
    for (const auto& kept : scratch.kept) result[static_cast<size_t>(kept.id)] = static_cast<float>(kept.weight / total);
  } else {
    const double log_total = log_sum(*from.scan, from.temperature);
    for (size_t i = 0; i < result.size(); ++i) {
      result[i] = static_cast<float>(std::exp(from.scores[i] / from.temperature - log_total));
    }
  }
  return result;
}

}  // namespace facellm
