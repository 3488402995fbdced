// Memory of kernels under test that ends where it ends.
#pragma once

#include <ATen/ATen.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

#include "kernels/cpu/cpu_kernels.h"

namespace facellm {

// Numbers whose pages end where they end, so that reading or writing past them stops the test.
class Guarded {
 public:
  explicit Guarded(int64_t count) : count_(count) {
    const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    const auto bytes = static_cast<size_t>(count) * sizeof(Bf16);
    bytes_ = (bytes + page - 1) / page * page;
    base_ = static_cast<std::byte*>(
        ::mmap(nullptr, bytes_ + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ::mprotect(base_ + page, bytes_, PROT_READ | PROT_WRITE);
    begin_ = reinterpret_cast<Bf16*>(base_ + page + bytes_ - bytes);
    total_ = bytes_ + 2 * page;
  }
  explicit Guarded(const at::Tensor& values) : Guarded(values.numel()) {
    const auto own = values.contiguous();
    std::memcpy(begin_, own.const_data_ptr(), static_cast<size_t>(count_) * sizeof(Bf16));
  }
  ~Guarded() { ::munmap(base_, total_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  Bf16* data() const { return begin_; }
  at::Tensor tensor(at::IntArrayRef shape) const { return at::from_blob(begin_, shape, at::kBFloat16).clone(); }

 private:
  int64_t count_;
  size_t bytes_, total_;
  std::byte* base_;
  Bf16* begin_;
};

}  // namespace facellm
