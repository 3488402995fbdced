// One tensor from a mapped file into a parameter, at the speed of the disk.
#pragma once

#include <ATen/ATen.h>

#include <functional>

namespace facellm {

// Told after each slab: bytes of the source already consumed, and up to where it will be read next.
using SlabCallback = std::function<void(int64_t done_bytes, int64_t next_bytes)>;

// Copies with conversion of dtype and device. Returns false if any value is NaN or infinite.
bool copy_weights(const at::Tensor& source, const at::Tensor& target, const SlabCallback& on_slab);

}  // namespace facellm
