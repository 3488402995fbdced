#include "kernels/cpu/gelu.h"

#include <c10/core/GradMode.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/cpu/row_work.h"

namespace facellm {
namespace {

#include "kernels/cpu/bf16_bits.h"

std::vector<Bf16> made() {
  std::vector<Bf16> table(65536);
  for (uint32_t bits = 0; bits < table.size(); ++bits) {
    const double x = widened_bf16(static_cast<Bf16>(bits));
    // -inf times nothing is no number.
    const double y = std::isinf(x) && x < 0 ? -0.0 : 0.5 * x * std::erfc(-x * std::sqrt(0.5));
    table[bits] = rounded_bf16(static_cast<float>(y));
  }
  return table;
}

}  // namespace

const Bf16* gelu_table() {
  static const std::vector<Bf16> table = made();
  return table.data();
}

at::Tensor erf_gelu(at::Tensor x) {
  if (c10::GradMode::is_enabled()) return at::gelu(x);
  if (!x.is_cpu() || x.scalar_type() != at::kBFloat16 || !x.is_contiguous()) return at::gelu_(x);
  const Bf16* const table = gelu_table();
  auto* const bits = static_cast<Bf16*>(x.mutable_data_ptr());
  for_rows(x.numel(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) bits[i] = table[bits[i]];
  });
  return x;
}

}  // namespace facellm
