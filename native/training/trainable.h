// Which tensors a run trains: the leaves of the autograd graph, and the checkpoint names they stand for.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "model/internvl.h"
#include "model/parameters.h"

namespace facellm {

// Leaves of full fine-tuning. A fused weight is one leaf that stands for several checkpoint tensors; its name
// is theirs joined by '+'. `parts`: of vision, projector, text, head. A tied head follows the text; without
// it, kInvalidArgument.
ParameterList trainable_leaves(const InternVl& model, const std::vector<std::string>& parts);

// The part that a parameter belongs to, by its released HF name.
std::string part_of(const std::string& parameter);

}  // namespace facellm
