// GELU by erf.
#pragma once

#include <ATen/ATen.h>

#include "kernels/cpu/cpu_kernels.h"

namespace facellm {

// Of every bf16, [65536] by its bits: x times half of erfc(-x / sqrt 2), in fp64, then rounded; NaN stays NaN. Made once, by whoever
// asks first. libtorch's own loses digits below -4, where 1 + erf cancels.
const Bf16* gelu_table();

// In x's place, unless autograd is on: bf16 on the CPU by the table, as behind a product (CpuProduct::table), all else by libtorch.
at::Tensor erf_gelu(at::Tensor x);

}  // namespace facellm
