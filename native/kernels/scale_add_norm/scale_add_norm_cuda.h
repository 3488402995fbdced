// Raw-pointer launcher; see scale_add_norm.h. All tensors contiguous bf16, aligned to 16 bytes.
#pragma once

#include <cstdint>

typedef struct CUstream_st* cudaStream_t;

namespace facellm {

constexpr int64_t kMostScaleAddNorm = 1024;  // numbers of a row, a multiple of 8

void scale_add_norm_cuda(const void* x, const void* delta, const void* scale, const void* weight, const void* bias, void* sum,
                         void* normalised, int64_t rows, int64_t size, float eps, cudaStream_t stream);

}  // namespace facellm
