// The same as paged_decode_attention_cuda.h for heads as models have them: bf16, 64 or 128 wide, up to eight that read
// one key head. Lengths and tables are read before the kernel before this one has ended: what writes them stands further away, with an
// operation between that waits for all (in a step, libtorch's that make the angles do).
#pragma once

#include "kernels/paged_decode_attention/paged_decode_attention_cuda.h"

namespace facellm {

// Whether heads and addresses are such: rows of 16 bytes, aligned.
bool takes_paged_decode_groups(const void* q, const void* keys, const void* values, const PagedDecodeShape& shape);

void paged_decode_groups_cuda(const void* q, const void* keys, const void* values, const int32_t* block_table,
                              const int64_t* lengths, float* sums, float* maxima, float* totals, void* out,
                              const PagedDecodeShape& shape, cudaStream_t stream);

}  // namespace facellm
