// What is asked of a row's next token, and what of it changes single scores: penalties, bias, least length, mask.
// Torch-free.
#pragma once

#include <cstdint>
#include <span>

#include "generation/sampling_options.h"
#include "generation/token_history.h"

namespace facellm {

struct DrawInput {
  std::span<const float> logits;  // [V]
  const TokenHistory& history;    // its number of generated tokens is the number of this one
  uint32_t choice = 0;            // of the n answers to one prompt
  std::span<const int32_t> end_ids = {};  // forbidden below min_tokens
  std::span<const uint32_t> mask = {};    // a bit an id, lowest first; 0: forbidden. Empty: all are allowed
};

// Whether edit_scores() has anything to do for this token.
bool edits_scores(const SamplingOptions& options, const DrawInput& input);
// Penalties, bias and least length. Throws kInvalidArgument for an id outside the vocabulary. A forbidden id's score
// is -infinity, and stays so whatever is added to it: the mask may come before.
void edit_scores(std::span<float> scores, const SamplingOptions& options, const DrawInput& input);
// Throws kInvalidArgument for a mask that does not cover the vocabulary.
void mask_scores(std::span<float> scores, std::span<const uint32_t> mask);
// Throws what there is to say when no id is left.
[[noreturn]] void throw_nothing_left(const SamplingOptions& options, const DrawInput& input);

}  // namespace facellm
