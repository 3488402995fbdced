#include "kernels/cpu/packed_memory.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

namespace facellm {
namespace {

constexpr size_t kLargePage = 2 << 20, kLine = 64;

}  // namespace

PackedMemory::PackedMemory(size_t bytes)
    : mapped_bytes_((bytes + kLargePage - 1) / kLargePage * kLargePage + kLargePage) {
  void* const mapped = ::mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  mapped_ = static_cast<std::byte*>(mapped);
  const auto past = reinterpret_cast<uintptr_t>(mapped_) % kLargePage;
  next_ = mapped_ + (past == 0 ? 0 : kLargePage - past);
  // Advice: pages of 4 KB give a fifth less.
  ::madvise(next_, mapped_bytes_ - kLargePage, MADV_HUGEPAGE);
}

PackedMemory::~PackedMemory() { ::munmap(mapped_, mapped_bytes_); }

std::byte* PackedMemory::take(size_t bytes) {
  std::byte* const piece = next_;
  next_ += (bytes + kLine - 1) / kLine * kLine;
  return piece;
}

}  // namespace facellm
