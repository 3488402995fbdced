// Raw-pointer launcher; see quantised_product.h. x, bias and out contiguous bf16, x and the blocks aligned to 16 bytes.
#pragma once

#include <cstdint>

#include "kernels/common/weight_blocks.h"

typedef struct CUstream_st* cudaStream_t;

namespace facellm {

constexpr int64_t kMostQuantisedRows = 64;      // of x
constexpr int64_t kQuantisedMultiple = 32;      // of which `in` is a multiple

struct QuantisedProductShape {
  int64_t rows, in, out;
  int64_t block_bytes;  // of 32 rows of W
  int64_t group;        // columns of a scale of int4
  // W has 2 * out rows, out a multiple of 32, the gates' first: out = round(silu(gate)) * up (swiglu.h).
  bool is_gated;
};

// bias [out] or null, and null where it is gated. Not kBf16.
void quantised_product_cuda(WeightForm form, const void* x, const void* blocks, const void* bias, void* out,
                            const QuantisedProductShape& shape, cudaStream_t stream);

}  // namespace facellm
