#include "layers/kv_cache.h"

#include <c10/core/ScalarType.h>

namespace facellm {

int64_t KvCache::bytes(int64_t layers, int64_t rows, int64_t kv_heads, int64_t capacity,
                       int64_t head_dim, at::ScalarType dtype) {
  return 2 * layers * rows * kv_heads * capacity * head_dim *
         static_cast<int64_t>(c10::elementSize(dtype));
}

KvCache::KvCache(int64_t layers, int64_t rows, int64_t kv_heads, int64_t capacity,
                 int64_t head_dim, const at::TensorOptions& options)
    : lengths(rows, 0), capacity_(capacity) {
  keys_.reserve(layers);
  values_.reserve(layers);
  for (int64_t layer = 0; layer < layers; ++layer) {
    // Zeros, not empty: masked slots are multiplied by weight 0, and 0 * NaN would be NaN.
    keys_.push_back(at::zeros({rows, kv_heads, capacity, head_dim}, options));
    values_.push_back(at::zeros({rows, kv_heads, capacity, head_dim}, options));
  }
}

KvCache KvCache::row(int64_t index) const {
  KvCache one;
  one.capacity_ = capacity_;
  one.lengths = {lengths[index]};
  for (size_t layer = 0; layer < keys_.size(); ++layer) {
    one.keys_.push_back(keys_[layer].narrow(0, index, 1));
    one.values_.push_back(values_[layer].narrow(0, index, 1));
  }
  return one;
}

int64_t KvCache::slot_bytes() const {
  const auto& keys = keys_[0];
  return 2 * layers() * keys.size(1) * keys.size(3) * static_cast<int64_t>(keys.element_size());
}

at::Tensor KvCache::snapshot(int64_t length) const {
  const auto& shape = keys_[0].sizes();
  auto copy = at::empty({layers(), 2, shape[1], length, shape[3]}, keys_[0].options());
  for (int64_t layer = 0; layer < layers(); ++layer) {
    copy[layer][0].copy_(keys_[layer][0].narrow(1, 0, length));
    copy[layer][1].copy_(values_[layer][0].narrow(1, 0, length));
  }
  return copy;
}

void KvCache::restore(const at::Tensor& snapshot, int64_t length) {
  for (int64_t layer = 0; layer < layers(); ++layer) {
    keys_[layer][0].narrow(1, 0, length).copy_(snapshot[layer][0].narrow(1, 0, length));
    values_[layer][0].narrow(1, 0, length).copy_(snapshot[layer][1].narrow(1, 0, length));
  }
  lengths[0] = length;
}

}  // namespace facellm
