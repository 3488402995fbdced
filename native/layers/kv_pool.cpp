#include "layers/kv_pool.h"

#include <c10/core/ScalarType.h>

namespace facellm {

int64_t KvPool::slot_bytes(int64_t layers, int64_t kv_heads, int64_t head_dim, at::ScalarType dtype) {
  return 2 * layers * kv_heads * head_dim * static_cast<int64_t>(c10::elementSize(dtype));
}

KvPool::KvPool(int64_t layers, int64_t blocks, int64_t kv_heads, int64_t block_size, int64_t head_dim,
               const at::TensorOptions& options)
    : block_size_(block_size),
      memory_(at::empty({layers, 2, kv_heads, blocks * block_size, head_dim}, options)) {
  for (int64_t layer = 0; layer < layers; ++layer) {
    keys_.push_back(memory_[layer][0]);
    values_.push_back(memory_[layer][1]);
  }
}

void KvPool::copy(int64_t from_block, int64_t to_block, int64_t count) {
  memory_.narrow(3, to_block * block_size_, count).copy_(memory_.narrow(3, from_block * block_size_, count));
}

void KvPool::clear(int64_t block) { memory_.narrow(3, block * block_size_, block_size_).zero_(); }

}  // namespace facellm
