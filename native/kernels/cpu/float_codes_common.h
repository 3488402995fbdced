// fp8 and nf4, whose codes are small floating-point numbers: what all units do alike, included by each into a namespace without a
// name behind quantised_common.h. The same bits on every level.

constexpr float kMostOfFp8 = 448;
constexpr int64_t kNf4Group = 64;

// What the 256 bytes of e4m3 stand for; 0x7f and 0xff are NaN.
struct Fp8Values {
  float of[256] = {};
  constexpr Fp8Values() {
    for (int code = 0; code < 256; ++code) {
      const int exponent = code >> 3 & 15, mantissa = code & 7;
      float value = exponent == 0 ? static_cast<float>(mantissa) * 0x1p-9f : static_cast<float>(8 + mantissa) * 0x1p-10f;
      for (int i = 0; i < exponent; ++i) value *= 2;
      of[code] = code & 128 ? -value : value;
    }
    of[127] = __builtin_nanf("");
    of[255] = -__builtin_nanf("");
  }
};
constexpr Fp8Values kFp8Values;

// bitsandbytes' table.
constexpr float kNf4Values[16] = {-1.0f,
                                  -0.6961928009986877f,
                                  -0.5250730514526367f,
                                  -0.39491748809814453f,
                                  -0.28444138169288635f,
                                  -0.18477343022823334f,
                                  -0.09105003625154495f,
                                  0.0f,
                                  0.07958029955625534f,
                                  0.16093020141124725f,
                                  0.24611230194568634f,
                                  0.33791524171829224f,
                                  0.44070982933044434f,
                                  0.5626170039176941f,
                                  0.7229568362236023f,
                                  1.0f};

// Of |value| up to 448: to nearest, ties to even.
uint8_t fp8_of(float value) {
  const uint32_t sign = bits_of(value) >> 24 & 0x80;
  uint32_t magnitude = bits_of(value) & 0x7fffffff;
  if (magnitude < 0x3c800000) {  // below 2^-6: steps of 2^-9
    return static_cast<uint8_t>(sign | static_cast<uint32_t>(nearest(float_of(magnitude) * 512.0f)));
  }
  magnitude += 0x7ffff + (magnitude >> 20 & 1);
  return static_cast<uint8_t>(sign | ((magnitude >> 20) - (120 << 3)));
}

// Nearest by midpoints; one that lies on a midpoint goes to the lower value, as bitsandbytes has it.
int nf4_of(float value) {
  int code = 0;
  for (int i = 0; i < 15; ++i) code += value > (kNf4Values[i] + kNf4Values[i + 1]) / 2;
  return code;
}

void pack_fp8(uint8_t* packed, const float* rows, int64_t stride, int64_t weight_rows, int64_t inner, int64_t,
              int64_t begin, int64_t end) {
  for (int64_t block = begin; block < end; ++block, rows += kBlock * stride) {
    uint8_t* const to = packed + block * fp8_block_bytes(inner);
    for (int64_t r = 0; r < kBlock; ++r) {
      const bool is_there = block * kBlock + r < weight_rows;
      const float* const row = rows + (is_there ? r : 0) * stride;
      const float most = is_there ? largest(row, inner) : 0;
      const bool is_zero = !(most >= kLeast);
      const float scale = is_zero ? 0 : most / kMostOfFp8, inverse = is_zero ? 0 : kMostOfFp8 / most;
      for (int64_t k = 0; k < inner; k += 4) {
        uint8_t codes[4] = {};
        for (int64_t j = 0; j < 4 && k + j < inner && !is_zero; ++j) {
          float value = row[k + j] * inverse;
          value = value > kMostOfFp8 ? kMostOfFp8 : value < -kMostOfFp8 ? -kMostOfFp8 : value;
          codes[j] = fp8_of(value);
        }
        __builtin_memcpy(to + 128 + k * 32 + r * 4, codes, 4);
      }
      __builtin_memcpy(to + r * 4, &scale, 4);
    }
  }
}

void unpack_fp8(float* rows, int64_t stride, const uint8_t* packed, int64_t weight_rows, int64_t inner, int64_t,
                int64_t begin, int64_t end) {
  for (int64_t n = begin * kBlock; n < end * kBlock && n < weight_rows; ++n) {
    const uint8_t* const from = packed + n / kBlock * fp8_block_bytes(inner);
    const int64_t r = n % kBlock;
    float scale;
    __builtin_memcpy(&scale, from + r * 4, 4);
    float* const to = rows + (n - begin * kBlock) * stride;
    for (int64_t k = 0; k < inner; k += 4) {
      const uint8_t* const codes = from + 128 + k * 32 + r * 4;
      for (int64_t j = 0; j < 4 && k + j < inner; ++j) to[k + j] = scale * kFp8Values.of[codes[j]];
    }
  }
}

void pack_nf4(uint8_t* packed, const float* rows, int64_t stride, int64_t weight_rows, int64_t inner, int64_t,
              int64_t begin, int64_t end) {
  for (int64_t block = begin; block < end; ++block, rows += kBlock * stride) {
    uint8_t* to = packed + block * nf4_block_bytes(inner);
    for (int64_t k = 0; k < inner; k += kNf4Group, to += kNf4RecordBytes) {
      for (int64_t r = 0; r < kBlock; ++r) {
        float values[kNf4Group] = {};
        const int64_t count = inner - k < kNf4Group ? inner - k : kNf4Group;
        if (block * kBlock + r < weight_rows) {
          __builtin_memcpy(values, rows + r * stride + k, static_cast<std::size_t>(count) * 4);
        }
        const float most = largest(values, count), inverse = 1.0f / (most > 1e-38f ? most : 1e-38f);
        __builtin_memcpy(to + r * 4, &most, 4);
        for (int64_t i = 0; i < kNf4Group; i += 8) {
          for (int64_t j = 0; j < 4; ++j) {
            const int low = nf4_of(values[i + j] * inverse), high = nf4_of(values[i + j + 4] * inverse);
            to[128 + i * 16 + r * 4 + j] = static_cast<uint8_t>(low | high << 4);
          }
        }
      }
    }
  }
}

void unpack_nf4(float* rows, int64_t stride, const uint8_t* packed, int64_t weight_rows, int64_t inner, int64_t,
                int64_t begin, int64_t end) {
  for (int64_t n = begin * kBlock; n < end * kBlock && n < weight_rows; ++n) {
    const uint8_t* record = packed + n / kBlock * nf4_block_bytes(inner);
    const int64_t r = n % kBlock;
    float* const to = rows + (n - begin * kBlock) * stride;
    for (int64_t k = 0; k < inner; k += kNf4Group, record += kNf4RecordBytes) {
      float most;
      __builtin_memcpy(&most, record + r * 4, 4);
      for (int64_t i = 0; i < kNf4Group && k + i < inner; i += 8) {
        for (int64_t j = 0; j < 8 && k + i + j < inner; ++j) {
          const int both = record[128 + i * 16 + r * 4 + j % 4];
          to[k + i + j] = most * kNf4Values[j < 4 ? both & 15 : both >> 4];
        }
      }
    }
  }
}

// Element (r, k) of a block of packed bf16 (cpu_kernels.h).
[[maybe_unused]] uint16_t& expanded(uint16_t* block, int64_t r, int64_t k) { return block[(k / 2 * 32 + r) * 2 + k % 2]; }

[[maybe_unused]] void expand_fp8(uint16_t* block, const uint8_t* packed, int64_t inner, int64_t) {
  for (int64_t r = 0; r < kBlock; ++r) {
    float scale;
    __builtin_memcpy(&scale, packed + r * 4, 4);
    for (int64_t k = 0; k < inner; ++k) {
      expanded(block, r, k) = rounded_bf16(scale * kFp8Values.of[packed[128 + k / 4 * 128 + r * 4 + k % 4]]);
    }
  }
}

[[maybe_unused]] void expand_nf4(uint16_t* block, const uint8_t* packed, int64_t inner, int64_t) {
  for (int64_t begin = 0; begin < inner; begin += kNf4Group, packed += kNf4RecordBytes) {
    for (int64_t r = 0; r < kBlock; ++r) {
      float most;
      __builtin_memcpy(&most, packed + r * 4, 4);
      for (int64_t i = 0; i < kNf4Group && begin + i < inner; ++i) {
        const int both = packed[128 + i / 8 * 128 + r * 4 + i % 4];
        expanded(block, r, begin + i) = rounded_bf16(most * kNf4Values[i % 8 < 4 ? both & 15 : both >> 4]);
      }
    }
  }
}
