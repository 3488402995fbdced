// Products of weights in 8 and 4 bits on x86, as cpu_kernels.h has them for bf16: plain C, torch-free, a unit a level.
//
// x becomes whole numbers first, row by row: scale = max|x| / 8191, code = x / scale to nearest; 2^-14 of the row's largest
// value is lost at most, less than bf16 rounds. Sums of codes are exact, so every level gives the same bits.
//
// Blocks lie as common/weight_blocks.h has them.
// int8: out = rounded(fp32(sum of codes' products) * scale of w * scale of x + bias)
// int4: sum = fma(fp32(sum of a group's products), scale, sum), group by group; out = rounded(sum * scale of x + bias)
// fp8 and nf4 have codes that are floating-point numbers: no product of whole numbers, blocks are put back into bf16 or fp32.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/common/weight_blocks.h"
#include "kernels/cpu/prefetch.h"

namespace facellm {

// out[m, n] = x[m, :] w[n, :] + bias[n]. Strides are in elements. x, bias and out are bf16, or fp32 where is_wide.
struct QuantisedProduct {
  const uint8_t* weight;  // packed
  int64_t weight_rows, inner, group;
  const void* x;
  int64_t x_stride, rows;
  bool is_wide;
  void* arranged;    // what arrange() makes of x
  const void* bias;  // [N] or null
  void* out;
  int64_t out_stride;
  int64_t prefetch = kPrefetchNear;
};

struct QuantisedForm {
  // Up to so many rows of x; above, dequantised blocks are multiplied by libtorch.
  int64_t most_rows;
  // Quantises and packs blocks [begin, end); `rows` are theirs alone, of this stride. The same bits on every level.
  void (*pack)(uint8_t* packed, const float* rows, int64_t stride, int64_t weight_rows, int64_t inner, int64_t group,
               int64_t begin, int64_t end);
  // What the codes stand for.
  void (*unpack)(float* rows, int64_t stride, const uint8_t* packed, int64_t weight_rows, int64_t inner, int64_t group,
                 int64_t begin, int64_t end);
  int64_t (*arranged_bytes)(int64_t rows, int64_t inner, int64_t group);
  void (*arrange)(const QuantisedProduct* product, int64_t begin_row, int64_t end_row);
  void (*multiply)(const QuantisedProduct* product, int64_t begin, int64_t end);  // of blocks
  // A block as cpu_kernels.h packs bf16, for many rows of x: int8's codes as they are, which bf16 holds exactly and which
  // the block's scales belong to; what other codes stand for, rounded (fp8's and nf4's to nearest, ties to even). K even.
  // Null where multiply() is as fast.
  void (*expand)(uint16_t* block, const uint8_t* packed, int64_t inner, int64_t group) = nullptr;
};

struct QuantisedKernels {
  const char* name;
  QuantisedForm int8, int4;
  QuantisedForm fp8, nf4;  // most_rows 0, no multiply()
};

extern const QuantisedKernels kScalarQuantised;
#if defined(__x86_64__)
extern const QuantisedKernels kAvx2Quantised;
extern const QuantisedKernels kAvx512Quantised;  // with VNNI
#endif

}  // namespace facellm
