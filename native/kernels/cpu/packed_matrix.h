// Weights of a linear layer in the order in which the processor's own kernels read them (cpu_kernels.h), each once.
// For answering: no gradient flows through.
#pragma once

#include <ATen/ATen.h>

#include <cstddef>
#include <memory>

#include "kernels/cpu/cpu_kernels.h"

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

class PackedMatrix {
 public:
  // Whether `kernels` take weight [N, K]: bf16 on the CPU, rows contiguous, K even, neither size 0.
  static bool takes(const at::Tensor& weight);
  static size_t bytes(const at::Tensor& weight);

  // Packs `weight` by all threads into `memory`.
  PackedMatrix(const at::Tensor& weight, std::shared_ptr<PackedMemory> memory, const CpuKernels& kernels);

  // Whether `kernels` are at least as fast as libtorch for so many rows of x, of any shape: measured (docs/performance.md).
  static bool suits(const CpuKernels& kernels, int64_t rows);
  static bool suits_all_rows(const CpuKernels& kernels);
  bool suits(const at::Tensor& x) const;
  // x [..., K] bf16 -> x W^T + bias, [..., N], rounded once. A row's bits depend on nothing but that row, W and bias:
  // not on the other rows, nor on threads. bias [N] bf16 or undefined.
  at::Tensor product(const at::Tensor& x, const at::Tensor& bias) const;
  // The rows as they were, [N, K].
  at::Tensor rows() const;
  const char* level() const { return kernels_->name; }

 private:
  int64_t weight_rows_, inner_;
  const CpuKernels* kernels_;
  std::shared_ptr<PackedMemory> memory_;
  Bf16* packed_;
};

}  // namespace facellm
