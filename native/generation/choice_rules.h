// How rows choose, in the form that the GPU's sampler reads (kernels/choose_tokens). Torch-free.
#pragma once

#include <vector>

#include "generation/score_edits.h"
#include "kernels/choose_tokens/choose_tokens_cuda.h"

namespace facellm {

// Without edits and mask.
ChoiceRule choice_rule(const SamplingOptions& options, uint32_t choice);
// Appends what penalties, bias and least length do to single scores of this token, and names it in `rule`. Throws
// kInvalidArgument for an id outside the vocabulary, as edit_scores() does.
void append_edits(const SamplingOptions& options, const DrawInput& input, int64_t vocabulary, std::vector<ScoreEdit>& edits,
                  ChoiceRule& rule);
// Whether the next token's edits differ from this one's: penalties follow what was generated, and a least length is reached.
bool edits_change(const SamplingOptions& options, const TokenHistory& history);

}  // namespace facellm
