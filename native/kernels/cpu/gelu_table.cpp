#include "kernels/cpu/gelu_table.h"

#include <cmath>
#include <cstdint>
#include <vector>

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

}  // namespace facellm
