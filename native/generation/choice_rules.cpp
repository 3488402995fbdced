#include "generation/choice_rules.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>

#include "core/error.h"

namespace facellm {

ChoiceRule choice_rule(const SamplingOptions& options, uint32_t choice) {
  ChoiceRule rule;
  rule.is_greedy = options.is_greedy ? 1 : 0;
  rule.is_processed = options.log_probs == LogProbs::kProcessed ? 1 : 0;
  rule.repetition = static_cast<float>(options.repetition_penalty);
  rule.frequency = static_cast<float>(options.frequency_penalty);
  rule.presence = static_cast<float>(options.presence_penalty);
  if (options.is_greedy) return rule;
  rule.seed = options.seed;
  rule.choice = choice;
  // As draw_token() does: below a millionth the largest wins anyway.
  rule.temperature = std::max(static_cast<float>(options.temperature), 1e-6f);
  rule.top_k = static_cast<int32_t>(std::clamp<int64_t>(options.top_k, 0, std::numeric_limits<int32_t>::max()));
  rule.top_p = options.top_p;
  if (options.min_p > 0) rule.log_min_p = std::log(options.min_p);
  return rule;
}

void append_edits(const SamplingOptions& options, const DrawInput& input, int64_t vocabulary, std::vector<ScoreEdit>& edits,
                  ChoiceRule& rule) {
  std::map<int32_t, ScoreEdit> by_id;
  const auto at = [&](int32_t id) -> ScoreEdit& {
    if (id < 0 || id >= vocabulary) {
      throw Error(ErrorCode::kInvalidArgument, "sampling: id " + std::to_string(id) + " is outside the vocabulary of " +
                                                   std::to_string(vocabulary));
    }
    return by_id.try_emplace(id, ScoreEdit{id, -1, 0}).first->second;
  };
  for (const auto& [id, count] : input.history.counts()) at(id).count = count;
  for (const auto& [id, bias] : options.logit_bias) at(id).bias += bias;
  if (input.history.generated() < options.min_tokens) {
    for (const int32_t id : input.end_ids) at(id).bias = -std::numeric_limits<float>::infinity();
  }
  rule.edits_begin = static_cast<int32_t>(edits.size());
  for (const auto& [id, edit] : by_id) edits.push_back(edit);
  rule.edits_end = static_cast<int32_t>(edits.size());
}

bool edits_change(const SamplingOptions& options, const TokenHistory& history) {
  return options.repetition_penalty != 1 || options.frequency_penalty != 0 || options.presence_penalty != 0 ||
         history.generated() < options.min_tokens;
}

}  // namespace facellm
