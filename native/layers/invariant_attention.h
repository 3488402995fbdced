// Attention of a packed step in which a query's result follows, bit for bit, from the query and from what it sees
// alone: not from how many are asked beside it, nor from how much lies behind what it sees. The processor's own kernels
// (kernels/cpu) have that property; where there are none, and under masks of trees, every call of libtorch's kernel has the same
// shape but for the number of queries and of whole stretches of keys. Dearer than paged_attention(), which it replaces in
// deterministic mode.
#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "layers/paged_attention.h"

namespace facellm {

// Keys and values are read in whole stretches of so many, as libtorch's kernel on a CPU takes them.
constexpr int64_t kKeyStretch = 512;

// What is the same in every layer, made once a step. Segments come with all of their slots named, filled up to a
// multiple of kKeyStretch with a slot of zeros; masks become additive, of this dtype; segments that the
// processor's own kernels serve keep theirs undefined.
void complete_invariant_masks(std::vector<Segment>& segments, int64_t head_dim, const at::TensorOptions& options);

// As paged_attention(); rows of the result that belong to no segment are zeros.
at::Tensor invariant_attention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                               const std::vector<Segment>& segments);

}  // namespace facellm
