// Raw-pointer launcher; see few_rows.h. All tensors contiguous bf16, aligned to 16 bytes.
#pragma once

#include <cstdint>

typedef struct CUstream_st* cudaStream_t;

namespace facellm {

constexpr int64_t kMostFewRows = 16;     // rows of x that the kernel takes
constexpr int64_t kFewRowsMultiple = 32;  // of which `in` is a multiple
// Of longer rows cuBLAS is as fast or faster (docs/gpu.md): too few blocks have them between themselves.
constexpr int64_t kMostFewRowsIn = 1024;

struct FewRowsShape {
  int64_t rows, in, out;
  bool is_gated;  // the weight has 2 * out rows, the gates' first: out = round(silu(gate)) * up (swiglu.h)
};

// bias [out] or null, and null where it is gated.
void few_rows_cuda(const void* x, const void* weight, const void* bias, void* out, const FewRowsShape& shape,
                           cudaStream_t stream);

}  // namespace facellm
