// Codes and scales as files have them, put into the order of the processor's kernels as they are: nothing is rounded a second time.
#pragma once

#include <cstddef>

#include "checkpoint/quantised_weight.h"
#include "kernels/cpu/packed_matrix.h"

namespace facellm {

// Whether such a matrix holds what `weight` says: int8 or fp8 with a scale a row, int4 in groups of the scheme's size, nf4. int4's scales
// are rounded to fp16, which holds those of bf16 and fp16 files exactly from 2^-14 on, and to within 2^-25 below.
bool holds_codes(const QuantisedWeight& weight, int64_t bits, WeightScheme scheme);

// Writes row `row` of `weight` as row `to` of a matrix of `rows` rows that begins at `place` (kernels/cpu/quantised_kernels.h).
// Different blocks of 32 rows by different threads at a time.
void put_codes(std::byte* place, int64_t to, const QuantisedWeight& weight, int64_t row, WeightScheme scheme);

}  // namespace facellm
