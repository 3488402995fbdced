// Low-rank additions for answering, of one layer under one stack of adapters: nothing can be learnt, so what follows
// from the matrices alone is computed once, when the stack is built.
#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "kernels/low_rank/low_rank.h"
#include "layers/linear.h"
#include "lora/lora_linear.h"

namespace facellm {

class FrozenLora {
 public:
  // Matrices are kept in `base`'s dtype, DoRA's gains in fp32.
  FrozenLora(const Linear& base, const std::vector<LoraSlice>& slices);
  const LowRankMatrices& matrices() const { return matrices_; }
  // Of what is kept beside the adapters' own matrices.
  int64_t bytes() const { return bytes_; }

 private:
  LowRankMatrices matrices_;
  int64_t bytes_ = 0;
};

}  // namespace facellm
