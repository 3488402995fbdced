// Raw-pointer launchers; see add_rms_norm.h for the contract. `delta` may be null, then `sum` is not
// written. Rows are contiguous, and one after the other but for the residual's, which begin every
// `residual_stride` elements.
#pragma once

#include <cstdint>

#include "kernels/common/block_sum.h"

typedef struct CUstream_st* cudaStream_t;

namespace facellm {

// Dynamic shared memory: a row of fp32. It and the sum's own part must fit the 48 KB that need no opt-in
// (scripts/check-cuda.sh holds both to what ptxas says). InternVL3-78B has rows of 8192; longer ones take the plain version.
constexpr int64_t kAddRmsNormSharedBytes = 48 * 1024 - cuda::kBlockSumBytes;
constexpr int64_t kLargestFusedNormRow = kAddRmsNormSharedBytes / static_cast<int64_t>(sizeof(float));

void add_rms_norm_cuda(const void* residual, const void* delta, const void* weight, void* sum,
                       void* normalised, int64_t rows, int64_t size, int64_t residual_stride, float eps,
                       bool is_bf16, cudaStream_t stream);

// All contiguous; `of_sum` may be null. Rows of any size.
void add_rms_norm_backward_cuda(const void* sum, const void* weight, const void* of_normalised, const void* of_sum, void* out,
                                int64_t rows, int64_t size, float eps, bool is_bf16, cudaStream_t stream);

}  // namespace facellm
