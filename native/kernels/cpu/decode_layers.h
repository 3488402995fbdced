// Text layers for a few rows of one token each, without a tensor: every thread of a team works through the layers, and they meet where one needs what the others
// computed. The order of work is that of model/language_model.cpp, the kernels are those that its operations call, and so are the bits. Torch-free.
//
// What costs less than meeting (norms of one row, their rounding into codes, the gate, an adapter's x A^T) each thread computes for itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "core/cancellation.h"
#include "kernels/cpu/packed_view.h"
#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/spin_team.h"

namespace facellm {

// What an adapter adds to rows [begin, begin + count) of a layer; x and out of its matrices are the layer's.
struct DecodeAddition {
  CpuLowRank matrices;
  int64_t begin, count;
};

struct DecodeLinear {
  PackedView view;
  std::vector<DecodeAddition> additions;
};

struct DecodeLayer {
  const void *input_norm, *post_attention_norm;  // [hidden]
  DecodeLinear qkv, o_proj, gate_up, down_proj;
  void *keys, *values;  // of the pool
};

struct DecodeWork {
  const RowKernels* kernels;
  std::vector<DecodeLayer> layers;
  std::deque<std::vector<CpuLowRankPart>> parts;  // that additions point to
  const void* final_norm;  // [hidden], or null: neither normalised nor multiplied by the head
  DecodeLinear head;
  int64_t hidden, intermediate, heads, kv_heads, head_dim;
  float eps;
  bool is_bf16;

  int64_t rows;
  const void* embeddings;  // [rows, hidden]
  const void *cos, *sin;   // [rows, head_dim]
  const int64_t* slots;    // [rows]: where their keys and values go
  // What they see, their own keys among it.
  const int32_t* block_table;  // [rows, most_blocks]
  const int64_t* lengths;      // [rows]
  int64_t block_size, most_blocks, most_keys;
  int64_t key_head, key_slot, value_head, value_slot;  // strides of the pool
  const Cancellation* cancellation;

  void* out;     // [rows, hidden] behind the last layer, before the final norm
  void* logits;  // [rows, vocabulary], where final_norm is
};

// What decode_layers() works in, on a cache line, for a team of so many.
int64_t decode_layers_bytes(const DecodeWork& work, int64_t members);
// False where cancelled: then `out` and `logits` are not written. Writes keys and values of the layers that were computed.
bool decode_layers(const DecodeWork& work, std::byte* memory, SpinTeam& team);

}  // namespace facellm
