// What multiplies packed weights on this processor, to be told. Torch-free.
#pragma once

#include <cstdint>

namespace facellm {

struct ProductKernels {
  const char* name;  // scalar, avx2, avx512 or amx
  int64_t most_rows;  // of x, above which libtorch multiplies; -1: any number, 0: none
  const char* quantised;  // as `name`, of weights in 8 and 4 bits
};

// For this processor, under FACELLM_CPU_ISA.
ProductKernels product_kernels();

}  // namespace facellm
