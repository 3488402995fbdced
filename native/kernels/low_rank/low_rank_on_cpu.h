// What a stack's matrices are to the processor's own kernels (kernels/cpu/row_kernels.h).
#pragma once

#include <vector>

#include "kernels/cpu/row_kernels.h"
#include "kernels/low_rank/low_rank.h"

namespace facellm {

// Pointers into `matrices`.
std::vector<CpuLowRankPart> cpu_parts_of(const LowRankMatrices& matrices);

}  // namespace facellm
