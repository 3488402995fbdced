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

// Deterministic mode: how many rows a pass has whoever takes part.
struct RowFill {
  int64_t multiple = 1;   // of rows; 1: as they come
  // First of a block that no row owns: it stays zeros, and stands for what lies behind a row's tokens. Rows that fill a
  // pass up write behind it.
  int64_t spare_slot = 0;
};

// Which picture's vector each token of the prompt receives: picture_of and place_of of `request`.
void locate_placeholders(const InternVlConfig& config, const Prompt& prompt, ActiveRequest& request);

StepBatch make_step_batch(const InternVl& model, const KvPool& pool, const std::vector<RowShare>& shares,
                          const RowFill& fill);

}  // namespace facellm
