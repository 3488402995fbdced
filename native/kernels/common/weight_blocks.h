// How weights in few bits lie in memory, on every device: blocks of 32 rows, each a head of scales and codes in an order that a
// processor's kernels and a GPU's read 16 bytes at a time. Torch-free. K: columns, filled up with zeros as said.
//
// int8: 32 scales fp32 (max|w| / 127 of a row), 32 sums of a row's codes int32, then [K/4][32][4] codes; K up to a multiple of 4.
// fp8 (e4m3): 32 scales fp32 (max|w| / 448), then codes as int8's.
// int4: for each `group` of columns 32 scales fp16, of either sign (quantised_common.h), then [group/8][32][4] bytes: code + 8
//   of column 8 i + j in the lower half of byte j, that of 8 i + 4 + j in the upper one. K up to whole groups.
// nf4: as bitsandbytes makes it, 64 columns of a row share their largest magnitude; for each group 32 magnitudes fp32, then
//   nibbles as int4's. (bitsandbytes cuts a weight into 64 numbers through all rows, which is the same where K is a multiple of 64.)
#pragma once

#include <cstdint>

namespace facellm {

// bf16 as they are, or codes with scales: int8 and fp8 a scale a row, int4 one for every `group` columns of it, 32, 64 or 128,
// nf4 one for every 64.
enum class WeightForm { kBf16, kInt8, kInt4, kFp8, kNf4 };

constexpr int64_t kInt8HeadBytes = 256, kFp8HeadBytes = 128, kInt4HeadBytes = 64, kNf4HeadBytes = 128;
constexpr int64_t kNf4RecordBytes = kNf4HeadBytes + 64 * 16;  // of a group of columns
constexpr int64_t int4_record_bytes(int64_t group) { return kInt4HeadBytes + group * 16; }

// Bytes of a block of 32 rows.
constexpr int64_t int8_block_bytes(int64_t inner) { return kInt8HeadBytes + (inner + 3) / 4 * 128; }
constexpr int64_t fp8_block_bytes(int64_t inner) { return kFp8HeadBytes + (inner + 3) / 4 * 128; }
constexpr int64_t int4_block_bytes(int64_t inner, int64_t group) { return (inner + group - 1) / group * int4_record_bytes(group); }
constexpr int64_t nf4_block_bytes(int64_t inner) { return (inner + 63) / 64 * kNf4RecordBytes; }

}  // namespace facellm
