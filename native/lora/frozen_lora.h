// Low-rank additions for answering, of one layer under one stack of adapters: nothing can be learnt, so what follows
// from the matrices alone is computed once, when the stack is built, and a decoding step adds two small products a layer.
#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "layers/linear.h"
#include "lora/lora_linear.h"

namespace facellm {

class FrozenLora {
 public:
  // Matrices are kept in `base`'s dtype, DoRA's gains in fp32.
  FrozenLora(const Linear& base, const std::vector<LoraSlice>& slices);
  // out [T, out], which holds `base`'s own x W^T + b, becomes the adapted layer's. x [T, in], rows of any stride.
  void add_to(const at::Tensor& out, const Linear& base, const at::Tensor& x) const;
  // Of what is kept beside the adapters' own matrices.
  int64_t bytes() const { return bytes_; }

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
  int64_t bytes_ = 0;
};

}  // namespace facellm
