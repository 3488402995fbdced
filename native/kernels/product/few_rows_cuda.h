// Raw-pointer launcher; see few_rows.h. All tensors contiguous bf16, aligned to 16 bytes.
#pragma once

#include <cstdint>

#include "kernels/rope_kv_append/rope_kv_append_cuda.h"

typedef struct CUstream_st* cudaStream_t;

namespace facellm {

constexpr int64_t kMostFewRows = 16;      // rows of x that the kernel takes
// And of those that are normalised here: more take longer than by a kernel of their own (docs/gpu.md).
constexpr int64_t kMostNormedRows = 8;
constexpr int64_t kFewRowsMultiple = 32;  // of which `in` is a multiple
// Of longer rows cuBLAS is as fast or faster (docs/gpu.md), but where the outputs are few: too few blocks would have them.
constexpr int64_t kMostFewRowsIn = 1024;
constexpr int64_t kMostNarrowIn = 8192, kMostNarrowOut = 1024;
// Of normalised rows.
constexpr int64_t kFewRowsSharedBytes = kMostNormedRows * (kMostFewRowsIn + 32) * 2;

// How a block's outputs lie in W.
enum class FewRowsOutputs : int32_t {
  kPlain,   // 16 in line
  kGated,   // W has 2 * out rows, the gates' first: out = round(silu(gate)) * up (swiglu.h)
  kNarrow,  // 8 in line, by twice as many blocks, each lane with columns of both halves; `in` a multiple of 64
  kRotary,  // qkv: pairs (i, i + E / 2) of a head, rotated, keys and values into the pool (rope_kv_append.h)
};

struct FewRowsShape {
  int64_t rows, in, out;
  FewRowsOutputs outputs;
};

// x is made here (add_rms_norm.h): of residual [rows, in] and delta, or null. The first block writes their sum.
struct FewRowsNorm {
  const void *residual, *delta, *weight;
  void* sum;
  float eps;
};

struct FewRowsRotary {
  const void *cos, *sin;
  const int64_t* slots;
  void *q, *keys, *values;
  RopeKvAppendShape shape;
};

struct FewRows {
  const void* x;     // null where there is a norm
  const void* weight;
  const void* bias;  // [out] or null, and null where it is gated
  void* out;         // null where it is rotated
  FewRowsShape shape;
  FewRowsNorm norm;      // residual null: none; at most kMostNormedRows of kMostFewRowsIn, and neither narrow nor plain
  FewRowsRotary rotary;  // of kRotary
};

void few_rows_cuda(const FewRows& work, cudaStream_t stream);

}  // namespace facellm
