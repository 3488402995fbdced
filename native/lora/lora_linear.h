// A linear layer with low-rank additions (LoRA, arXiv 2106.09685; DoRA, arXiv 2402.09353), as PEFT 0.21
// computes them (docs/internvl3.md, section 11.3): y = x W^T + b + s (x A^T) B^T on the rows of each slice.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "layers/linear.h"

namespace facellm {

// One adapted module inside a linear layer that may be fused (q/k/v, gate/up).
struct LoraSlice {
  int64_t begin;  // first row of the layer
  int64_t count;
  at::Tensor a;          // [rank, in], any float dtype: products run in x's
  at::Tensor b;          // [count, rank]
  at::Tensor magnitude;  // [count] for DoRA, else undefined
  double scaling;
  at::Tensor norms = {};  // DoRA: row norms of W + s B A where they are known, fp32 [count]
};

// Dropout on A's input, drawn anew for every micro-batch and equal when activations are recomputed:
// masks follow from `seed` and the place in the model alone (lora/dropout.h).
struct LoraDropout {
  double probability = 0;
  uint64_t seed = 0;
};

// y = x W^T + b with every slice added, forward and backward by hand: keeps x and x A^T only, gives no
// gradient to W and b. x [T, in] or [..., in].
at::Tensor lora_linear(const at::Tensor& x, const Linear& base, const std::vector<LoraSlice>& slices);

// The same composed of plain operations: the reference, and the path for dropout and DoRA.
// `place` tells this layer's masks from others'.
at::Tensor lora_linear_reference(const at::Tensor& x, const Linear& base,
                                 const std::vector<LoraSlice>& slices, const LoraDropout& dropout,
                                 uint64_t place);

class LoraExtension : public LinearExtension {
 public:
  LoraExtension(std::vector<LoraSlice> slices, std::shared_ptr<const LoraDropout> dropout,
                uint64_t place)
      : slices_(std::move(slices)), dropout_(std::move(dropout)), place_(place) {}
  at::Tensor forward(const Linear& base, const at::Tensor& x) const override;

 private:
  std::vector<LoraSlice> slices_;
  std::shared_ptr<const LoraDropout> dropout_;  // null: none
  uint64_t place_;
};

// Row norms of W + s B A, fp32 [count], taken as constants (DoRA paper, section 4.3). `weight` [count, in].
at::Tensor row_norms(const at::Tensor& weight, const LoraSlice& slice);

// W + s B A of a slice's rows, fp32 (DoRA: rows scaled to their magnitudes); `weight` [count, in].
at::Tensor merged_rows(const at::Tensor& weight, const LoraSlice& slice);

}  // namespace facellm
