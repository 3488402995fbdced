// Raw-pointer launchers; see swiglu.h. gate_up has `rows` rows of 2 * size, out of size.
#pragma once

#include <cstdint>

typedef struct CUstream_st* cudaStream_t;

namespace facellm {

void swiglu_cuda(const void* gate_up, void* out, int64_t rows, int64_t size, bool is_bf16,
                 cudaStream_t stream);

// of_out has rows of size, out of 2 * size as gate_up.
void swiglu_backward_cuda(const void* gate_up, const void* of_out, void* out, int64_t rows, int64_t size, bool is_bf16,
                          cudaStream_t stream);

}  // namespace facellm
