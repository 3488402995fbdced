// Raw-pointer launcher; see add_rms_norm.h for the contract. `delta` may be null, then `sum` is not
// written. Pointers are device pointers to contiguous rows.
#pragma once

#include <cstdint>

typedef struct CUstream_st* cudaStream_t;

namespace facellm {

void add_rms_norm_cuda(const void* residual, const void* delta, const void* weight, void* sum,
                       void* normalised, int64_t rows, int64_t size, float eps, bool is_bf16,
                       cudaStream_t stream);

}  // namespace facellm
