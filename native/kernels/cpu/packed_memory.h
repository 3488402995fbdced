#pragma once

#include <cstddef>

namespace facellm {

// Memory of one's own in large pages, for many matrices: given back when none is left.
class PackedMemory {
 public:
  explicit PackedMemory(size_t bytes);  // throws std::bad_alloc
  ~PackedMemory();
  PackedMemory(const PackedMemory&) = delete;
  PackedMemory& operator=(const PackedMemory&) = delete;
  // The next piece of so many bytes, on a cache line.
  std::byte* take(size_t bytes);

 private:
  std::byte* mapped_;
  size_t mapped_bytes_;
  std::byte* next_;
};

}  // namespace facellm
