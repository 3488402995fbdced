// Products of packed bf16 weights on x86: one table of functions a level, each in a unit with flags of its own.
// Plain C, torch-free (but amx.cpp, which has no instructions of its own): the units may share no inline function with anything, or the linker could keep the copy that
// was compiled for AVX-512 and a processor without it would stop at it (test/contract/cpu-units.test.ts).
//
// Packed weights [N, K], K even: blocks of 32 rows, pairs of k innermost, [N/32][K/2][32][2]; rows of the last block that
// the matrix does not have are zeros. Element (n, k) lies at ((n/32 * K/2 + k/2) * 32 + n%32) * 2 + k%2.
//
// Every sum is one chain over k = 0, 1, ..., whatever the other rows are and whoever computes it: a row of x gives the
// same bits alone and among a thousand. Beside AMX that is so of up to four rows, and of more than four.
#pragma once

#include <cstdint>

#include "kernels/cpu/prefetch.h"

namespace facellm {

using Bf16 = uint16_t;  // bits

constexpr int64_t kBlockRows = 32;
constexpr int64_t kAnyRows = INT64_MAX;
// Rows that are a multiple of so many bytes apart share the sets of a first cache, which has eight to twelve places of each.
constexpr int64_t kCacheSetsBytes = 4096;

// out[m, n] = f(rounded(sum over k of x[m, k] w[n, k] + bias[n])), once; the sum times scales[n] where there are any and the
// kernels know of them; f by its table, since a number of 16 bits has no more than 65,536 values. Strides are in elements.
struct CpuProduct {
  const Bf16* weight;  // packed
  int64_t weight_rows, inner;  // N, K
  const Bf16* x;       // [rows, K]
  int64_t x_stride;
  int64_t rows;        // M, any
  const void* arranged;  // what arrange() made of x, or null where arranged_bytes() is 0
  const Bf16* bias;    // [N] or null
  Bf16* out;           // [rows, N]
  int64_t out_stride;
  const float* scales = nullptr;  // [N] filled up to whole blocks
  const Bf16* table = nullptr;    // [65536] f by the bits of its argument, or null: f(y) = y
  int64_t prefetch = kPrefetchNear;
};

struct CpuKernels {
  const char* name;
  // Up to so many rows of x they are at least as fast as libtorch, whatever the shape (benchmarks/cpu/products.cpp).
  int64_t most_rows;
  // Exact inverses, for blocks [begin, end). `rows` are theirs alone, the first of them row 32 * begin, of this stride.
  void (*pack)(Bf16* packed, const Bf16* rows, int64_t stride, int64_t weight_rows, int64_t inner, int64_t begin,
               int64_t end);
  void (*unpack)(Bf16* rows, int64_t stride, const Bf16* packed, int64_t weight_rows, int64_t inner, int64_t begin,
                 int64_t end);
  // x in the order in which multiply() reads it: so many bytes, filled group by group of `group_rows` rows.
  int64_t (*arranged_bytes)(const CpuProduct* product);
  int64_t group_rows;
  void (*arrange)(void* arranged, const CpuProduct* product, int64_t begin_group, int64_t end_group);
  // Columns of `out` of blocks [begin, end), rows of strips [first_strip, end_strip). There are ceil(rows / strip_rows), nearly equal in
  // size; kernels with one strip may ignore the range.
  void (*multiply)(const CpuProduct* product, int64_t begin, int64_t end, int64_t first_strip, int64_t end_strip);
  int64_t strip_rows;
  bool has_scales = false;  // whether multiply() looks at `scales`
  // Sums [rows][32] of a block, made elsewhere, into rows from `first_row` on of `out`; null where nobody asks for it.
  void (*finish)(const CpuProduct* product, int64_t block, int64_t first_row, int64_t rows, const float* sums) = nullptr;
};

extern const CpuKernels kScalarKernels;
#if defined(__x86_64__)
extern const CpuKernels kAvx2Kernels;
// The same where libtorch has AVX-512 for more rows, in fp32: registers twice as wide.
extern const CpuKernels kAvx2BesideAvx512Kernels;
extern const CpuKernels kAvx512Kernels;  // with BF16
// With AMX, by AVX-512 and libtorch's block kernel. Not measured where there are tiles.
const CpuKernels& amx_kernels();
#endif

}  // namespace facellm
