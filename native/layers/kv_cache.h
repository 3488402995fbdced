// Keys and values of a batch of sequences, allocated once for all steps. Row b's tokens lie at
// slots 0 .. lengths[b]-1, so padding never stands before a token and rows do not see each other.
#pragma once

#include <ATen/ATen.h>

#include <vector>

namespace facellm {

class KvCache {
 public:
  // Bytes that such a cache takes.
  static int64_t bytes(int64_t layers, int64_t rows, int64_t kv_heads, int64_t capacity,
                       int64_t head_dim, at::ScalarType dtype);
  KvCache(int64_t layers, int64_t rows, int64_t kv_heads, int64_t capacity, int64_t head_dim,
          const at::TensorOptions& options);

  // A one-row cache over the same memory.
  KvCache row(int64_t index) const;
  // Copies every layer's first `length` slots of row 0: [layers, 2, K, length, E].
  at::Tensor snapshot(int64_t length) const;
  // Writes the first `length` slots of a snapshot to row 0 and sets its length.
  void restore(const at::Tensor& snapshot, int64_t length);

  at::Tensor& keys(int64_t layer) { return keys_[layer]; }      // [B, K, capacity, E]
  at::Tensor& values(int64_t layer) { return values_[layer]; }  // [B, K, capacity, E]
  int64_t layers() const { return static_cast<int64_t>(keys_.size()); }
  int64_t rows() const { return static_cast<int64_t>(lengths.size()); }
  int64_t capacity() const { return capacity_; }
  // Bytes of one slot of one row over all layers.
  int64_t slot_bytes() const;

  std::vector<int64_t> lengths;  // [B]

 private:
  KvCache() = default;
  std::vector<at::Tensor> keys_;
  std::vector<at::Tensor> values_;
  int64_t capacity_ = 0;
};

}  // namespace facellm
