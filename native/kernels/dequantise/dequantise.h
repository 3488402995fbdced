// Packed blocks (kernels/cpu/quantised_kernels.h) put back by tensor operations, on any device: for weights that are
// trained upon on a GPU, and what the CPU's own unpacking is held to.
#pragma once

#include <ATen/ATen.h>

#include "kernels/cpu/packed_matrix.h"

namespace facellm {

// `blocks` [blocks, bytes of a block] uint8. Writes what their codes stand for into out [N, K], any floating dtype, on the
// same device, rounded once from fp32: what PackedMatrix::write_rows writes, bit for bit.
void dequantise_blocks(const at::Tensor& blocks, WeightScheme scheme, const at::Tensor& out);

}  // namespace facellm
