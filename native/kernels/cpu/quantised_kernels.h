// Products of weights in 8 and 4 bits on x86, as cpu_kernels.h has them for bf16: plain C, torch-free, a unit a level.
//
// x becomes whole numbers first, row by row: scale = max|x| / 8191, code = x / scale to nearest; 2^-14 of the row's largest
// value is lost at most, less than bf16 rounds. Sums of codes are exact, so every level gives the same bits.
//
// int8: a scale a row of weights, max|w| / 127. Blocks of 32 rows: 32 scales fp32, 32 sums of codes int32, then
//   [K/4][32][4] codes, K filled up to a multiple of 4 with zeros.
//   out = rounded(fp32(sum of codes' products) * scale of w * scale of x + bias)
// int4: a scale fp16 for every `group` columns of a row, of either sign, found by search (quantised_common.h). Blocks of
//   32 rows; for each group 32 scales, then [group/8][32][4] bytes: code + 8 of column 8 i + j in the lower half of byte
//   j, that of 8 i + 4 + j in the upper one. K filled up to whole groups.
//   sum = fma(fp32(sum of a group's products), scale, sum), group by group; out = rounded(sum * scale of x + bias)
//
// fp8 and nf4 have codes that are floating-point numbers: no product of whole numbers, blocks are put back into bf16 or fp32.
// fp8 (e4m3): a scale a row, max|w| / 448. Blocks of 32 rows: 32 scales fp32, then codes as int8's.
// nf4: as bitsandbytes makes it, 64 columns of a row share their largest magnitude. Blocks of 32 rows; for each group 32
//   magnitudes fp32, then nibbles as int4's. (bitsandbytes cuts a weight into 64 numbers through all rows, which is the
//   same where K is a multiple of 64.)
#pragma once

#include <cstddef>
#include <cstdint>

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

// Bytes of a block of 32 rows.
constexpr int64_t int8_block_bytes(int64_t inner) { return 256 + (inner + 3) / 4 * 128; }
constexpr int64_t int4_block_bytes(int64_t inner, int64_t group) { return (inner + group - 1) / group * (64 + group * 16); }
constexpr int64_t fp8_block_bytes(int64_t inner) { return 128 + (inner + 3) / 4 * 128; }
constexpr int64_t kNf4RecordBytes = 128 + 64 * 16;  // of a group of columns
constexpr int64_t nf4_block_bytes(int64_t inner) { return (inner + 63) / 64 * kNf4RecordBytes; }

}  // namespace facellm
