// Raw-pointer launchers; see dequantise.h. Blocks and out aligned to 16 bytes, out contiguous, bf16 or fp32.
#pragma once

#include <cstdint>

#include "kernels/common/weight_blocks.h"

typedef struct CUstream_st* cudaStream_t;

namespace facellm {

struct DequantiseShape {
  int64_t rows, inner;  // of the weight
  int64_t block_bytes, group;
};

// out [rows, inner]. Not kBf16.
void dequantise_cuda(WeightForm form, const void* blocks, void* out, const DequantiseShape& shape, bool is_bf16, cudaStream_t stream);

// Rows `ids` [count] of an int8 weight: out [count, inner]. A row that there is not is left out: the host has checked
// them, this guards memory.
void gather_int8_cuda(const void* blocks, const int64_t* ids, void* out, int64_t count, const DequantiseShape& shape, bool is_bf16,
                      cudaStream_t stream);

}  // namespace facellm
