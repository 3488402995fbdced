// A packed matrix by raw pointers, for who multiplies without tensors (decode_layers.h): valid as long as its PackedMatrix. Torch-free.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/cpu_kernels.h"
#include "kernels/cpu/quantised_kernels.h"

namespace facellm {

// Rows of numbers in bf16 or fp32, `stride` elements apart.
struct ProductRows {
  const void* x;
  int64_t stride, count;
};

// x W^T + bias as PackedMatrix::product() gives it, bit by bit, for so many rows as PackedMatrix::view() was asked for. x, bias and out are bf16, or fp32 where is_wide.
struct PackedView {
  const std::byte* packed;
  int64_t weight_rows, inner, group;
  const CpuKernels* kernels;       // of bf16, or null
  const QuantisedForm* quantised;  // of int8 and int4, or null
  const void* bias;                // [weight_rows] or null
  bool is_wide;
  int64_t prefetch = kPrefetchNear;

  int64_t blocks() const { return (weight_rows + kBlockRows - 1) / kBlockRows; }
  // Rows of x that are arranged together.
  int64_t group_rows() const { return quantised != nullptr ? 1 : kernels->group_rows; }
  int64_t arranged_bytes(const ProductRows& rows) const {
    if (quantised != nullptr) return quantised->arranged_bytes(rows.count, inner, group);
    const auto product = of_bf16(rows, nullptr, nullptr);
    return kernels->arranged_bytes(&product);
  }
  // Groups [begin, end) of rows. Nothing where arranged_bytes() is 0.
  void arrange(const ProductRows& rows, void* arranged, int64_t begin, int64_t end) const {
    if (quantised != nullptr) {
      const auto product = of_codes(rows, arranged, nullptr);
      return quantised->arrange(&product, begin, end);
    }
    const auto product = of_bf16(rows, nullptr, nullptr);
    if (kernels->arranged_bytes(&product) > 0) kernels->arrange(arranged, &product, begin, end);
  }
  // Columns of out [rows, weight_rows], contiguous, of blocks [begin, end).
  void multiply(const ProductRows& rows, void* arranged, void* out, int64_t begin, int64_t end) const {
    if (quantised != nullptr) {
      const auto product = of_codes(rows, arranged, out);
      return quantised->multiply(&product, begin, end);
    }
    const auto product = of_bf16(rows, arranged_bytes(rows) > 0 ? arranged : nullptr, out);
    kernels->multiply(&product, begin, end, 0, (rows.count - 1) / kernels->strip_rows + 1);
  }

 private:
  QuantisedProduct of_codes(const ProductRows& rows, void* arranged, void* out) const {
    return {reinterpret_cast<const uint8_t*>(packed), weight_rows, inner, group, rows.x, rows.stride, rows.count, is_wide,
            arranged, bias, out, weight_rows, prefetch};
  }
  CpuProduct of_bf16(const ProductRows& rows, const void* arranged, void* out) const {
    return {reinterpret_cast<const Bf16*>(packed), weight_rows, inner, static_cast<const Bf16*>(rows.x), rows.stride, rows.count,
            arranged, static_cast<const Bf16*>(bias), static_cast<Bf16*>(out), weight_rows, nullptr, nullptr, prefetch};
  }
};

}  // namespace facellm
