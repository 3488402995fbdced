// bitsandbytes' double quantisation: the magnitudes of nf4 groups as codes of 8 bits around their mean, 256 of them in a scale.
#pragma once

#include <ATen/ATen.h>

#include "checkpoint/checkpoint.h"
#include "model/pack_weights.h"

namespace facellm {

// Its table of 256 values, ascending ("dynamic map", signed); fp32.
at::Tensor dynamic_map();

// What `magnitudes` (any shape, fp32, CPU; those of one weight) become when quantised so and put back; the same shape. Codes and
// numbers are bitsandbytes' own, bit for bit; the mean of more than 32,767 magnitudes is that of their pieces' sums.
at::Tensor double_quantised(const at::Tensor& magnitudes);

// Does that to every nf4 weight among `sites` whose scheme says so, each module of a fused weight apart. Those that `checkpoint`
// holds doubly quantised stay as they are: a second rounding would give other numbers than the file's.
void double_quantise(const PackedSiteList& sites, const Checkpoint& checkpoint);

}  // namespace facellm
