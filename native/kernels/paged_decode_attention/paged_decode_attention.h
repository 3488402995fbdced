// Attention of rows with one new token each over a pool of blocks: lengths and block tables are read from the device,
// so that nothing in the call depends on how long the rows are (split-KV: Dao et al., "Flash-Decoding", 2023).
#pragma once

#include <ATen/ATen.h>

namespace facellm {

// Where the rows' keys and values lie. Numbers on the pool's device, whose addresses stay while a graph of them lives.
struct DecodeRows {
  at::Tensor block_table;  // int32 [R, most blocks]: block i of row r holds its slots from i * block_size on
  at::Tensor lengths;      // int64 [R]: slots that the row sees; 0: a place without a row, whose result is zero
  int64_t block_size;
  int64_t splits;          // of each row's slots, computed side by side and combined: the same for rows of all lengths
};

// Whether the kernel takes heads of this shape; libtorch's attention serves others (layers/paged_attention.h).
bool takes_decode_heads(int64_t heads, int64_t kv_heads, int64_t head_dim);
// So many splits for a step of `rows` rows: blocks enough to fill a large card, at most 32.
int64_t decode_splits(int64_t rows, int64_t kv_heads);

// q [H, R, E]; keys, values [K, S, E] of the pool; fp32 or bf16. Scale E^-1/2, sums in fp32, one rounding. Returns
// [R, H * E]. Throws kInvalidArgument.
at::Tensor paged_decode_attention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                                  const DecodeRows& rows);

// The plain version: a call of libtorch's attention a row. Its host reads lengths and tables.
at::Tensor paged_decode_attention_reference(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                                            const DecodeRows& rows);

}  // namespace facellm
