// The tensors of one step: packed tokens of the rows that take part, where their keys and values go, and what each
// may see.
#pragma once

#include <vector>

#include "generation/active_request.h"
#include "model/internvl.h"

namespace facellm {

// So many of a row's tokens, the first that are not computed; or a tree of answers behind them.
struct RowShare {
  Row* row;
  int64_t tokens;
  std::vector<size_t> choices = {};  // of a tree: which ones
};

// Which picture's vector each token of the prompt receives: picture_of and place_of of `request`.
void locate_placeholders(const InternVlConfig& config, const Prompt& prompt, ActiveRequest& request);

StepBatch make_step_batch(const InternVl& model, const KvPool& pool, const std::vector<RowShare>& shares);

}  // namespace facellm
