// Attention of one packed step over the pool: the tokens of many rows behind one another, each seeing its row's
// slots. The plain version is a call of libtorch's kernels a segment; the reference of every other.
#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <vector>

#include "kernels/paged_decode_attention/paged_decode_attention.h"

namespace facellm {

// Tokens of one row that see the same slots.
struct Segment {
  int64_t begin;      // among the packed tokens
  int64_t count;
  int64_t kv_length;  // slots of its row, its own tokens the last of them
  int64_t first_slot;  // where they lie in line; else -1, and `slots` names them
  at::Tensor slots;    // int64 [kv_length]
  at::Tensor mask;     // bool [count, kv_length], true: may attend; undefined: causal, aligned at the end
};

// Tokens of a packed step that are their rows' only ones, which one kernel serves whatever their rows' lengths.
struct SingleTokens {
  at::Tensor places;  // int64 [R], among the packed tokens; undefined: they are all of them, in order
  DecodeRows rows;
};

// What is the same in every layer, made once a step: the causal mask of a chunk that continues a cached prefix. A CPU's own
// kernels need none; where libtorch's are taken there, a mask a layer is nothing beside what it hides.
void complete_masks(std::vector<Segment>& segments, at::Device device);

// q [H, T, E]; keys, values [K, S, E] of the pool. Returns [T, H * E].
at::Tensor paged_attention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                           const std::vector<Segment>& segments);
// The same where `singles` are served by their kernel, and segments cover the other tokens.
at::Tensor paged_attention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                           const std::vector<Segment>& segments, const SingleTokens& singles);

}  // namespace facellm
