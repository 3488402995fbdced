// Products of a few rows with packed weights on a GPU: what answering computes with weights in 8 and 4 bits. They are read once.
#pragma once

#include <ATen/ATen.h>

#include "kernels/cpu/packed_matrix.h"

namespace facellm {

// A packed weight [N, K] on its device: `blocks` [blocks, bytes of a block] uint8.
struct PackedBlocks {
  at::Tensor blocks;
  WeightScheme scheme;
  int64_t weight_rows, inner;
};

// Whether the kernel serves this product: x bf16 on the blocks' GPU, up to 64 rows, contiguous and aligned; K a multiple of 32, of
// int4's groups and of nf4's 64; nothing to be differentiated.
bool takes_quantised_product(const at::Tensor& x, const PackedBlocks& weight, const at::Tensor& bias = {});
// And with gates: N a multiple of 64.
bool takes_quantised_swiglu(const at::Tensor& x, const PackedBlocks& weight);

// x [..., K] -> x W^T + bias, [..., N]; bias [N] or undefined. Codes of int8, int4 and fp8 are multiplied exactly, their fp32 sums by
// the scales; nf4 as its weights rounded to bf16. One rounding after the bias. Only where takes_quantised_product().
at::Tensor quantised_product(const at::Tensor& x, const PackedBlocks& weight, const at::Tensor& bias);
// swiglu() of the product with a weight [2 F, K] -> [..., F], each of swiglu()'s roundings once; sums in another order than the product's.
at::Tensor quantised_swiglu(const at::Tensor& x, const PackedBlocks& weight);

}  // namespace facellm
