// Weights of a linear layer in the order in which the processor's own kernels read them (cpu_kernels.h), each once.
// For answering: no gradient flows through.
#pragma once

#include <ATen/ATen.h>

#include <cstddef>
#include <memory>
#include <optional>

#include "kernels/cpu/cpu_kernels.h"
#include "kernels/cpu/packed_memory.h"
#include "kernels/cpu/packed_view.h"
#include "kernels/cpu/quantised_kernels.h"

namespace facellm {

struct WeightScheme {
  WeightForm form = WeightForm::kBf16;
  int64_t group = 64;  // int4's
  // A row of x gives the same bits whatever is beside it, at the price of speed with many rows.
  bool is_invariant = false;
  // nf4's magnitudes are once more quantised, as bitsandbytes does it (model/double_quantisation.h), and kept as what that gives.
  bool is_double = false;
};

// What becomes of a product once it is rounded.
enum class Activation { kNone, kGelu };

class PackedMatrix {
 public:
  // Whether a weight [rows, inner] in bf16 can be packed: inner even, neither size 0. Other forms take any.
  static bool takes(int64_t rows, int64_t inner);
  static size_t bytes(int64_t rows, int64_t inner, WeightScheme scheme = {});

  // Room in `memory` for such a weight; what is in it says fill(), block by block.
  PackedMatrix(int64_t rows, int64_t inner, std::shared_ptr<PackedMemory> memory, const CpuKernels& kernels);
  // The same quantised.
  PackedMatrix(int64_t rows, int64_t inner, WeightScheme scheme, std::shared_ptr<PackedMemory> memory,
               const QuantisedKernels& kernels);
  // A weight [N, K] bf16 on the CPU whose rows are contiguous, packed by all threads.
  PackedMatrix(const at::Tensor& weight, std::shared_ptr<PackedMemory> memory, const CpuKernels& kernels);
  // Packs blocks [begin, end) of kBlockRows rows each: `rows` [.., K] in source_dtype() are theirs, one behind another.
  // Different blocks by different threads at a time.
  void fill(const void* rows, int64_t begin, int64_t end) const;
  at::ScalarType source_dtype() const { return quantised_ == nullptr ? at::kBFloat16 : at::kFloat; }
  int64_t weight_rows() const { return weight_rows_; }
  // Where its blocks begin, for who writes them as they are (model/packed_codes).
  std::byte* blocks_begin() const { return packed_; }
  int64_t inner() const { return inner_; }
  int64_t blocks() const;

  // Whether `kernels` are at least as fast as libtorch for so many rows of x, of any shape: measured (docs/performance.md).
  static bool suits(const CpuKernels& kernels, int64_t rows);
  static bool suits_all_rows(const CpuKernels& kernels);
  // Quantised weights have no other form beside them: they take x of any number of rows.
  bool suits(const at::Tensor& x) const;
  // x [..., K] bf16 -> x W^T + bias, [..., N], rounded once. A row's bits depend on nothing but that row, W and bias:
  // not on the other rows (beside AMX on whether there are more than four), nor on threads. bias [N] bf16 or undefined. Quantised weights take x and bias in fp32 too, and
  // multiply x in whole numbers of 14 bits (quantised_kernels.h); many rows by blocks that are put back: into bf16, where
  // the processor multiplies that best and the scheme is not invariant, or into fp32. fp8 and nf4 are put back always, and give
  // what their weights rounded to x's dtype give. What is activated may have padded rows.
  at::Tensor product(const at::Tensor& x, const at::Tensor& bias, Activation activation = Activation::kNone) const;
  // By raw pointers, valid as long as this and `bias` are, what product() gives for so many rows in bf16 or fp32. Nothing where other kernels
  // give it: libtorch's, or those of blocks that are put back.
  std::optional<PackedView> view(const at::Tensor& bias, int64_t rows, at::ScalarType dtype) const;
  // Rows [begin, begin + count), [count, K]: bf16 as they were; of quantised weights what the codes stand for, in fp32.
  at::Tensor rows(int64_t begin, int64_t count) const;
  // Rows `ids` [...] int64 on the CPU, each within the matrix: [..., K] in `dtype`.
  at::Tensor gather(const at::Tensor& ids, at::ScalarType dtype) const;
  // All of them rounded into out [N, K], bf16 or fp32 on the CPU, contiguous; by all threads.
  void write_rows(const at::Tensor& out) const;
  WeightScheme scheme() const { return scheme_; }
  // Bytes of a block of kBlockRows rows.
  int64_t block_bytes() const;

 private:
  at::Tensor bf16_product(const at::Tensor& x, const at::Tensor& bias, Activation activation) const;
  bool expands(int64_t rows, at::ScalarType dtype) const;
  bool has_float_codes() const { return scheme_.form == WeightForm::kFp8 || scheme_.form == WeightForm::kNf4; }
  at::Tensor quantised_product(const at::Tensor& x, const at::Tensor& bias) const;
  at::Tensor dequantised_product(const at::Tensor& x, const at::Tensor& bias) const;

  int64_t weight_rows_, inner_;
  WeightScheme scheme_;
  const CpuKernels* kernels_ = nullptr;         // of bf16
  const QuantisedForm* quantised_ = nullptr;    // of all else
  std::shared_ptr<PackedMemory> memory_;
  std::byte* packed_;
};

}  // namespace facellm
