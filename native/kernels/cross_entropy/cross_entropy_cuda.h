// Raw-pointer launcher; see cross_entropy.h. Rows of `size` logits, one after the other; `scales` may be null.
#pragma once

#include <cstdint>

typedef struct CUstream_st* cudaStream_t;

namespace facellm {

void cross_entropy_cuda(void* logits, const int64_t* labels, const float* scales, float* losses, int64_t rows, int64_t size, bool is_bf16,
                        cudaStream_t stream);

}  // namespace facellm
