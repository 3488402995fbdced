// Layers whose input is normalised before them, residual addition first: one kernel for few rows on a GPU (kernels/product/few_rows.h),
// else one operation after another. The same bits.
#pragma once

#include <ATen/ATen.h>

#include "kernels/product/few_rows.h"
#include "layers/linear.h"

namespace facellm {

// rope_kv_append(qkv(RMSNorm(residual + delta))): the rotated q [H, T, E], and residual + delta [T, D].
FewRowsOutput norm_heads(const FewRowsInput& input, const Linear& qkv, const FewRowsHeads& heads);
// gate_up.gated(RMSNorm(residual + delta)): [T, F], and residual + delta [T, D].
FewRowsOutput norm_gated(const FewRowsInput& input, const Linear& gate_up);

}  // namespace facellm
