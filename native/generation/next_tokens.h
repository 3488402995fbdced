// From logits to the next token of each row.
#pragma once

#include <ATen/ATen.h>

#include <variant>
#include <vector>

#include "generation/active_request.h"
#include "generation/sampler.h"

namespace facellm {

struct Chosen {
  int32_t id;
  float log_prob;
  float mask_mass = 1;
  std::vector<TokenLogProb> top = {};
};

// The model's logits hold NaN or infinity.
Error non_finite_logits();

// logits [rows, V] in the model's dtype. An error for a row whose logits are not finite, or of whose ids none is
// left: its neighbours go on. Masks are there.
std::vector<std::variant<Chosen, Error>> next_tokens(const at::Tensor& logits, const std::vector<Row*>& rows,
                                                     SamplerScratch& scratch);

}  // namespace facellm
