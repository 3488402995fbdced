// What a layer computes besides its products, and the gradients of that, a row at a time: plain C, torch-free, a unit a level. One text serves all
// levels (row_kernels_common.h): 16 lanes wide, the order of every sum written down, so that they give the same bits.
//
// Each rounds where its op says (kernels/OP/OP.h). A row's bits depend on nothing but that row. Numbers are bf16 or fp32; strides
// are in elements.
#pragma once

#include <cstdint>

#include "kernels/cpu/cpu_kernels.h"

namespace facellm {

// kernels/add_rms_norm. Rows of `size`, those of residual `stride` apart, all others contiguous.
struct NormRows {
  const void *residual, *delta;  // delta or null: then residual is the sum, and `sum` is not written
  const void* weight;            // [size]
  void *sum, *normalised;
  int64_t size, stride;
  float eps;
  bool is_bf16;
};

// kernels/scale_add_norm. Rows of `size`, all contiguous.
struct ScaleNormRows {
  const void *x, *delta, *scale;  // delta or null: then x is the sum, and `scale` and `sum` are not touched
  const void *weight, *bias;      // [size]
  void *sum, *normalised;
  int64_t size;
  float eps;
  bool is_bf16;
};

// kernels/swiglu. Rows of 2 * size, `stride` apart; of `out` of size, contiguous.
struct GateRows {
  const void* gate_up;
  void* out;
  int64_t size, stride;
  bool is_bf16;
};

// kernels/rope_kv_append. All contiguous but the pools, given by the strides of a head and a slot.
struct RopeRows {
  const void *qkv, *cos, *sin;
  const int64_t* slots;
  void *q, *keys, *values;  // q [heads, tokens, head_dim]
  int64_t tokens, heads, kv_heads, head_dim;
  int64_t key_head, key_slot, value_head, value_slot;
  bool is_bf16;
};

// kernels/paged_decode_attention. Out contiguous.
struct DecodeAttention {
  const void *q, *keys, *values;
  void* out;  // [rows, heads * head_dim]
  const int32_t* block_table;  // [rows, most_blocks]
  const int64_t* lengths;
  int64_t block_size, most_blocks;
  int64_t heads, kv_heads, head_dim;
  int64_t q_head, q_row, key_head, key_slot, value_head, value_slot;
  float scale;
  bool is_bf16;
};

// kernels/low_rank, of one group of rows.
struct CpuLowRankPart {
  const void* b;      // [rank, count]
  const float* gain;  // [count] or null
  int64_t begin, count, rank;
  float scaling;
};

struct CpuLowRank {
  const void* x;  // [rows, inner]
  int64_t x_stride;
  void* out;
  int64_t out_stride;
  const void* a;  // [ranks, inner], contiguous
  int64_t inner, ranks;
  const CpuLowRankPart* parts;
  int64_t part_count;
  const void* bias;  // [columns of out] or null
  bool is_bf16;
};

// Rows that share what is loaded of the matrices.
constexpr int64_t kLowRankRows = 4;
// Of u = x A^T between rows, in fp32.
constexpr int64_t low_rank_stride(int64_t ranks) { return (ranks + 15) / 16 * 16; }

// Gradients. All contiguous where no stride is named.
struct NormBackwardRows {
  const void *sum, *weight;
  const void *of_normalised, *of_sum;  // of_sum or null
  void* out;
  int64_t size;
  float eps;
  bool is_bf16;
};

struct GateBackwardRows {
  const void *gate_up, *of_out;  // gate_up of rows `stride` apart
  void* out;                     // as gate_up
  int64_t size, stride;
  bool is_bf16;
};

// Of rope_append()'s q, keys and values, each by the strides of a head and a token; `out` as qkv.
struct RopeBackwardRows {
  const void *of_q, *of_keys, *of_values, *cos, *sin;
  void* out;
  int64_t heads, kv_heads, head_dim;
  int64_t q_head, q_token, key_head, key_token, value_head, value_token;
  bool is_bf16;
};

// kernels/cross_entropy. Rows of `size` logits, which become their gradients where `scales` is there.
struct CrossEntropyRows {
  void* logits;
  const int64_t* labels;
  const float* scales;        // [rows] or null
  float *distances, *totals;  // [rows]: the largest logit less the label's, the sum of e^(logit - largest)
  int64_t size;
  bool is_bf16;
};

struct RowKernels {
  const char* name;
  // Rows [begin, end).
  void (*add_rms_norm)(const NormRows* rows, int64_t begin, int64_t end);
  void (*scale_add_norm)(const ScaleNormRows* rows, int64_t begin, int64_t end);
  void (*swiglu)(const GateRows* rows, int64_t begin, int64_t end);
  // Pairs [begin, end) of a token and a key head with the queries of its group.
  void (*rope_append)(const RopeRows* rows, int64_t begin, int64_t end);
  // What attend() works in, on a cache line, of each thread its own: for rows of up to `most_keys`.
  int64_t (*attend_bytes)(const DecodeAttention* rows, int64_t most_keys);
  // Pairs [begin, end) of a row and a key head, a row's heads beside each other.
  void (*attend)(const DecodeAttention* rows, void* work, int64_t begin, int64_t end);
  // What add_low_rank() works in, on a cache line, of each thread its own: for up to `most_ranks`.
  int64_t (*low_rank_bytes)(int64_t most_ranks);
  // Rows [begin, end).
  void (*add_low_rank)(const CpuLowRank* rows, void* work, int64_t begin, int64_t end);
  // The same in two, for who shares columns out: u of rows [begin, end), and what it adds to columns [from, to) of them.
  void (*project_low_rank)(const CpuLowRank* rows, float* u, int64_t begin, int64_t end);
  void (*expand_low_rank)(const CpuLowRank* rows, const float* u, int64_t begin, int64_t end, int64_t from, int64_t to);
  // Gradients of a text layer's three, and a loss with its own. Rows [begin, end).
  void (*add_rms_norm_backward)(const NormBackwardRows* rows, int64_t begin, int64_t end);
  void (*swiglu_backward)(const GateBackwardRows* rows, int64_t begin, int64_t end);
  void (*rope_backward)(const RopeBackwardRows* rows, int64_t begin, int64_t end);
  void (*cross_entropy)(const CrossEntropyRows* rows, int64_t begin, int64_t end);
};

extern const RowKernels kScalarRows;
#if defined(__x86_64__)
extern const RowKernels kAvx2Rows;
extern const RowKernels kAvx512Rows;
#endif

}  // namespace facellm
