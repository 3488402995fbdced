// Which tensors a run trains: the leaves of the autograd graph, and the checkpoint names they stand for.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "model/internvl.h"
#include "model/parameters.h"
#include "training/trainer.h"

namespace facellm {

// Leaves of full fine-tuning. A fused weight is one leaf that stands for several checkpoint tensors; its name
// is theirs joined by '+'. `parts`: of vision, projector, text, head. A tied head follows the text; without
// it, kInvalidArgument.
ParameterList trainable_leaves(const InternVl& model, const std::vector<std::string>& parts);

// The part that a parameter belongs to, by its released HF name or by PEFT's.
std::string part_of(const std::string& parameter);

// What multiplies the learning rate of each leaf: its part's rate, and, in a part of layers, layer_decay once for every layer
// above it. Embeddings lie below the first layer; the text's last norm and the head above the last.
std::vector<double> rates_of(const ParameterList& leaves, const PartRates& rates, const InternVlConfig& config);

}  // namespace facellm
