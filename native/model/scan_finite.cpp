#include "model/scan_finite.h"

namespace facellm {
namespace {

// A float whose exponent bits are all ones is NaN or infinite.
template <typename Bits>
bool scan_finite(const void* data, int64_t count, Bits exponent_mask) {
  const auto* values = static_cast<const Bits*>(data);
  Bits found = 0;
  // Otherwise the compiler leaves this loop to single values.
#pragma omp simd reduction(| : found)
  for (int64_t i = 0; i < count; ++i) {
    found |= static_cast<Bits>((values[i] & exponent_mask) == exponent_mask);
  }
  return found == 0;
}

}  // namespace

bool is_finite(const void* data, int64_t count, at::ScalarType dtype) {
  switch (dtype) {
    case at::kBFloat16: return scan_finite<uint16_t>(data, count, 0x7f80);
    case at::kHalf: return scan_finite<uint16_t>(data, count, 0x7c00);
    default: return scan_finite<uint32_t>(data, count, 0x7f800000u);
  }
}

}  // namespace facellm
