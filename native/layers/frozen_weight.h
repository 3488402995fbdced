// A weight that takes no gradient and is kept in few bits on the model's device: adapters are trained upon it (QLoRA, arXiv
// 2305.14314). For each product it is put back whole into a scratch that all of a model's weights share, so that numbers are those
// of training upon the dequantised weights.
#pragma once

#include <ATen/ATen.h>

#include <memory>

#include "kernels/cpu/packed_matrix.h"

namespace facellm {

// Memory for one weight at a time, taken with the first product.
class WeightScratch {
 public:
  WeightScratch(int64_t numel, const at::TensorOptions& options) : numel_(numel), options_(options) {}
  at::Tensor of(int64_t rows, int64_t inner);
  const at::TensorOptions& options() const { return options_; }

 private:
  int64_t numel_;
  at::TensorOptions options_;
  at::Tensor memory_;
};

class FrozenWeight {
 public:
  // Codes go to the scratch's device, or stay where `packed` has them.
  FrozenWeight(std::shared_ptr<const PackedMatrix> packed, std::shared_ptr<WeightScratch> scratch);

  // [N, K] in the model's dtype, good until the next whole() of any of the model's weights.
  at::Tensor whole() const;
  // Rows [begin, begin + count) of the same, a copy.
  at::Tensor rows(int64_t begin, int64_t count) const;
  int64_t bytes() const;

 private:
  WeightScheme scheme_;
  int64_t weight_rows_, inner_;
  std::shared_ptr<const PackedMatrix> packed_;  // its codes are there on a CPU alone
  at::Tensor blocks_;                           // on another device, uint8 [blocks, bytes of a block]
  std::shared_ptr<WeightScratch> scratch_;
};

// x [..., K] -> x W^T + bias, [..., N], rounded once, after the bias. Differentiable in x, and in nothing else.
at::Tensor frozen_product(const at::Tensor& x, const std::shared_ptr<const FrozenWeight>& weight, const at::Tensor& bias);

}  // namespace facellm
