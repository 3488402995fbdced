#include "generation/score_edits.h"

#include <algorithm>
#include <limits>
#include <string>

#include "core/error.h"

namespace facellm {
namespace {

constexpr float kForbidden = -std::numeric_limits<float>::infinity();

bool forbids_end(const SamplingOptions& options, const DrawInput& input) {
  return input.history.generated() < options.min_tokens && !input.end_ids.empty();
}

}  // namespace

bool edits_scores(const SamplingOptions& options, const DrawInput& input) {
  return options.repetition_penalty != 1 || options.frequency_penalty != 0 || options.presence_penalty != 0 ||
         !options.logit_bias.empty() || forbids_end(options, input);
}

void edit_scores(std::span<float> scores, const SamplingOptions& options, const DrawInput& input) {
  const auto at = [&](int32_t id) -> float& {
    if (id >= 0 && static_cast<size_t>(id) < scores.size()) return scores[static_cast<size_t>(id)];
    throw Error(ErrorCode::kInvalidArgument, "sampling: id " + std::to_string(id) + " is outside the vocabulary of " +
                                                 std::to_string(scores.size()));
  };
  const auto repetition = static_cast<float>(options.repetition_penalty);
  const auto frequency = static_cast<float>(options.frequency_penalty);
  const auto presence = static_cast<float>(options.presence_penalty);
  for (const auto& [id, count] : input.history.counts()) {
    float& score = at(id);
    score = score < 0 ? score * repetition : score / repetition;
    if (count > 0) score = score - static_cast<float>(count) * frequency - presence;
  }
  for (const auto& [id, bias] : options.logit_bias) at(id) += bias;
  if (!forbids_end(options, input)) return;
  for (const int32_t id : input.end_ids) at(id) = kForbidden;
}

void mask_scores(std::span<float> scores, std::span<const uint32_t> mask) {
  const size_t words = (scores.size() + 31) / 32;
  if (mask.size() < words) {
    throw Error(ErrorCode::kInvalidArgument, "token mask: expected " + std::to_string(words) + " words of 32 ids, got " +
                                                 std::to_string(mask.size()));
  }
  for (size_t word = 0; word < words; ++word) {
    const uint32_t bits = mask[word];
    if (bits == ~uint32_t{0}) continue;
    const auto own = scores.subspan(32 * word, std::min<size_t>(32, scores.size() - 32 * word));
    for (size_t i = 0; i < own.size(); ++i) own[i] = (bits >> i & 1) != 0 ? own[i] : kForbidden;
  }
}

void throw_nothing_left(const SamplingOptions& options, const DrawInput& input) {
  const auto is_allowed = [&](size_t id) { return input.mask.empty() || (input.mask[id / 32] >> (id % 32) & 1) != 0; };
  size_t allowed = 0;
  for (size_t id = 0; id < input.logits.size(); ++id) allowed += is_allowed(id);
  if (allowed == 0) throw Error(ErrorCode::kInvalidArgument, "the token mask forbids every id");
  size_t ends = 0;
  for (size_t id = 0; id < input.logits.size(); ++id) {
    ends += is_allowed(id) && std::find(input.end_ids.begin(), input.end_ids.end(), static_cast<int32_t>(id)) !=
                                  input.end_ids.end();
  }
  if (forbids_end(options, input) && ends == allowed) {
    throw Error(ErrorCode::kInvalidArgument,
                "the token mask allows only ids that end the answer, after " +
                    std::to_string(input.history.generated()) + " tokens of at least " +
                    std::to_string(options.min_tokens));
  }
  throw Error(ErrorCode::kNonFinite, "the model gives every allowed id a logit of -infinity");
}

}  // namespace facellm
