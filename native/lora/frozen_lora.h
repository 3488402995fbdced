// Low-rank additions for answering: nothing can be learnt, so what follows from the matrices alone is
// computed once, when the adapters are activated, and a decoding step adds two small products a layer.
#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "layers/linear.h"
#include "lora/lora_linear.h"

namespace facellm {

class FrozenLora : public LinearExtension {
 public:
  // Matrices are kept in `base`'s dtype, DoRA's gains in fp32.
  FrozenLora(const Linear& base, const std::vector<LoraSlice>& slices);
  at::Tensor forward(const Linear& base, const at::Tensor& x) const override;

 private:
  struct Part {
    int64_t begin;  // rows of the layer
    int64_t count;
    at::Tensor b;   // [count, rank]
    double scaling;
    at::Tensor gain;  // DoRA: magnitude / norm, fp32 [count]; else undefined
  };
  at::Tensor a_;  // all A matrices, [sum of ranks, in]: x is read once
  std::vector<Part> parts_;
};

}  // namespace facellm
