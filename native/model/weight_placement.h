// Where a parameter's values go in a process that keeps only a part of them (training/sharded_layers).
#pragma once

#include <ATen/ATen.h>

#include <functional>

#include "model/internvl.h"

namespace facellm {

struct WeightPiece {
  int64_t begin;      // first element kept, of the flattened parameter
  at::Tensor target;  // [n] contiguous: elements [begin, begin + n); n may be 0
};

using WeightPlacement = std::function<WeightPiece(const at::Tensor& parameter)>;
// Called with the model before its weights are read.
using PlaceWeights = std::function<WeightPlacement(InternVl& model)>;

}  // namespace facellm
