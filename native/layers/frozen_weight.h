// A weight that takes no gradient and is kept in few bits on the model's device: adapters are trained upon it (QLoRA, arXiv
// 2305.14314), and on a GPU it answers. Where no kernel multiplies it as it is, it is put back into a scratch that all weights of
// the language model share, or of the tower, whole in training, so that numbers are those of training upon the dequantised weights.
#pragma once

#include <ATen/ATen.h>

#include <memory>

#include "kernels/cpu/packed_matrix.h"
#include "kernels/quantised_product/quantised_product.h"

namespace facellm {

// Memory for one weight at a time, or a part of one, taken with the first product that needs it.
class WeightScratch {
 public:
  // is_trained: every product is that of the whole weight as it is rounded, with gradients and without.
  WeightScratch(int64_t numel, const at::TensorOptions& options, bool is_trained = true)
      : numel_(numel), options_(options), is_trained_(is_trained) {}
  bool is_trained() const { return is_trained_; }
  int64_t numel() const { return numel_; }
  at::Tensor of(int64_t rows, int64_t inner);
  const at::TensorOptions& options() const { return options_; }

 private:
  int64_t numel_;
  at::TensorOptions options_;
  bool is_trained_;
  at::Tensor memory_;
};

class FrozenWeight {
 public:
  // Codes go to the scratch's device, or stay where `packed` has them.
  FrozenWeight(std::shared_ptr<const PackedMatrix> packed, std::shared_ptr<WeightScratch> scratch);

  // [N, K] in the model's dtype, good until the next whole() or product() of any of the model's weights.
  at::Tensor whole() const;
  // x [..., K] -> x W^T + bias, [..., N], rounded once, after the bias: by the kernel of few rows, or part by part. Not differentiable.
  at::Tensor product(const at::Tensor& x, const at::Tensor& bias) const;
  // swiglu() of the product: x [..., K] -> [..., N / 2]. Not differentiable.
  at::Tensor gated(const at::Tensor& x) const;
  // Rows `ids` [...] int64 of an int8 weight on a GPU, each within it: [..., K] in the model's dtype.
  at::Tensor gather(const at::Tensor& ids) const;
  // Rows [begin, begin + count) of the same, a copy.
  at::Tensor rows(int64_t begin, int64_t count) const;
  int64_t bytes() const;

 private:
  void put_back(int64_t begin_block, const at::Tensor& out) const;

  PackedBlocks own_;                            // its blocks are there on a GPU alone
  std::shared_ptr<const PackedMatrix> packed_;  // and its codes here on a CPU
  std::shared_ptr<WeightScratch> scratch_;
};

// x [..., K] -> x W^T + bias, [..., N], rounded once, after the bias. Differentiable in x, and in nothing else.
at::Tensor frozen_product(const at::Tensor& x, const std::shared_ptr<const FrozenWeight>& weight, const at::Tensor& bias);

}  // namespace facellm
