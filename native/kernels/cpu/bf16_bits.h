// fp32 and bf16 by their bits, included by each unit into a namespace without a name, so that nothing is shared.

[[maybe_unused]] float float_of(uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

[[maybe_unused]] uint32_t bits_of(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits;
}

[[maybe_unused]] float widened_bf16(uint16_t bits) { return float_of(static_cast<uint32_t>(bits) << 16); }

// To nearest, ties to even; NaN stays NaN.
[[maybe_unused]] uint16_t rounded_bf16(float value) {
  const uint32_t bits = bits_of(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>((bits >> 16) | 64);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
