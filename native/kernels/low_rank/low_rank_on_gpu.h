// add_low_rank() by low_rank_cuda.cu.
#pragma once

#include "kernels/low_rank/low_rank.h"

namespace facellm {

// Whether the kernels serve this group: x in fp32 or bf16 on CUDA, up to 64 rows whose columns, a multiple of 8, are contiguous and
// aligned; A contiguous and aligned, B [out, rank] contiguous in its rows; up to 32 parts of 512 ranks together; some rows and ranks.
bool takes_low_rank_on_gpu(const at::Tensor& out, const at::Tensor& x, const LowRankGroup& group);

// Arguments as add_low_rank()'s, checked; groups that it takes.
void low_rank_on_gpu(const at::Tensor& out, const at::Tensor& x, const at::Tensor& bias, std::span<const LowRankGroup> groups);

}  // namespace facellm
