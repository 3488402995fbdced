#include "kernels/cpu/scratch.h"

#include <memory>

#include "kernels/cpu/packed_memory.h"

namespace facellm {
namespace {

struct Kept {
  std::unique_ptr<PackedMemory> memory;
  void* begin = nullptr;
  int64_t capacity = 0;

  void* of(int64_t bytes) {
    if (capacity < bytes) {
      capacity = 0;
      memory = std::make_unique<PackedMemory>(static_cast<size_t>(bytes));
      begin = memory->take(static_cast<size_t>(bytes));
      capacity = bytes;
    }
    return begin;
  }
};

}  // namespace

void* scratch(int64_t bytes) {
  thread_local Kept kept;
  return kept.of(bytes);
}

void* work_scratch(int64_t bytes) {
  thread_local Kept kept;
  return kept.of(bytes);
}

}  // namespace facellm
