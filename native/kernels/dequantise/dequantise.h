// Packed blocks (kernels/common/weight_blocks.h) put back, on any device: for many rows of x and for training on a GPU.
#pragma once

#include <ATen/ATen.h>

#include "kernels/cpu/packed_matrix.h"

namespace facellm {

// `blocks` [blocks, bytes of a block] uint8. Writes what their codes stand for into out [N, K], any floating dtype, on the
// same device, rounded once from fp32: what PackedMatrix::write_rows writes, bit for bit.
void dequantise_blocks(const at::Tensor& blocks, WeightScheme scheme, const at::Tensor& out);
// The same by tensor operations, with temporaries: what the kernel and the CPU's own unpacking are held to.
void dequantise_blocks_reference(const at::Tensor& blocks, WeightScheme scheme, const at::Tensor& out);

// Rows `ids` [...] int64, on the blocks' device, of an int8 weight of `rows` rows: [..., inner] as `options` say, bf16 or fp32.
at::Tensor gather_int8_rows(const at::Tensor& blocks, int64_t rows, int64_t inner, const at::Tensor& ids, const at::TensorOptions& options);

}  // namespace facellm
