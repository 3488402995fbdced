// Keys and values of everybody's tokens, allocated once: blocks of a fixed number of slots, shared by whatever rows
// the tables of native/scheduling say. Slot s of block b is slot b * block_size + s of each layer.
#pragma once

#include <ATen/ATen.h>

#include <vector>

namespace facellm {

class KvPool {
 public:
  // Bytes of a slot over all layers.
  static int64_t slot_bytes(int64_t layers, int64_t kv_heads, int64_t head_dim, at::ScalarType dtype);

  // The memory is not written: a CPU's pages are taken when a slot is first used.
  KvPool(int64_t layers, int64_t blocks, int64_t kv_heads, int64_t block_size, int64_t head_dim,
         const at::TensorOptions& options);

  // [K, blocks * block_size, E]: heads outermost, so that a row whose blocks lie in line is read as one stretch.
  const at::Tensor& keys(int64_t layer) const { return keys_[layer]; }
  const at::Tensor& values(int64_t layer) const { return values_[layer]; }
  int64_t layers() const { return static_cast<int64_t>(keys_.size()); }
  int64_t block_size() const { return block_size_; }
  // The first `count` slots of one block into another's, in all layers.
  void copy(int64_t from_block, int64_t to_block, int64_t count);
  void clear(int64_t block);  // zeros in all layers

 private:
  int64_t block_size_;
  at::Tensor memory_;  // [layers, 2, K, blocks * block_size, E]
  std::vector<at::Tensor> keys_;
  std::vector<at::Tensor> values_;
};

}  // namespace facellm
