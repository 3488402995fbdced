// GELU of every bf16: x times half of erfc(-x / sqrt 2), in fp64, then rounded. Torch-free.
#pragma once

#include "kernels/cpu/cpu_kernels.h"

namespace facellm {

// [65536] by the bits of x; NaN stays NaN. Made once, by whoever asks first.
const Bf16* gelu_table();

}  // namespace facellm
