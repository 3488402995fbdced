// Of avx2_quantised.cpp, which includes this within its unnamed namespace: blocks of fp8 and nf4 put back into bf16, as
// float_codes_common.h does it number by number.

// What the bytes at `shift` of eight rows stand for; no NaN among them.
__m256 values_of_fp8(__m256i quads, int shift) {
  const __m256i codes = _mm256_srli_epi32(quads, shift);
  const __m256i sign = _mm256_slli_epi32(_mm256_and_si256(codes, _mm256_set1_epi32(0x80)), 24);
  const __m256i rest = _mm256_and_si256(codes, _mm256_set1_epi32(0x7f));
  const __m256i normal = _mm256_add_epi32(_mm256_slli_epi32(rest, 20), _mm256_set1_epi32(120 << 23));
  const __m256i small = _mm256_castps_si256(_mm256_mul_ps(_mm256_cvtepi32_ps(rest), _mm256_set1_ps(0x1p-9f)));
  const __m256i is_small = _mm256_cmpgt_epi32(_mm256_set1_epi32(8), rest);
  return _mm256_castsi256_ps(_mm256_or_si256(_mm256_blendv_epi8(normal, small, is_small), sign));
}

// The lower four bits of the bytes at `shift` by bitsandbytes' table, of which a register holds a half.
__m256 values_of_nf4(__m256i bytes, int shift) {
  const __m256i codes = _mm256_srli_epi32(bytes, shift);
  const __m256 lower = _mm256_permutevar8x32_ps(_mm256_loadu_ps(kNf4Values), codes);
  const __m256 upper = _mm256_permutevar8x32_ps(_mm256_loadu_ps(kNf4Values + 8), codes);
  return _mm256_blendv_ps(lower, upper, _mm256_castsi256_ps(_mm256_slli_epi32(codes, 28)));
}

// A pair of columns of eight rows.
void store_pair(uint16_t* to, __m256 first, __m256 second) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_or_si256(rounded(first), _mm256_slli_epi32(rounded(second), 16)));
}

void expand_fp8_by_lanes(uint16_t* block, const uint8_t* packed, int64_t inner, int64_t) {
  const auto* const scales = reinterpret_cast<const float*>(packed);
  packed += 128;
  for (int64_t line = 0; line < inner / 2; line += 2, packed += 128) {
    for (int64_t y = 0; y < 4; ++y) {
      const __m256i quads = load(packed + y * 32);
      const __m256 scale = _mm256_loadu_ps(scales + y * 8);
      for (int pair = 0; pair < 2 && line + pair < inner / 2; ++pair) {
        store_pair(block + (line + pair) * 64 + y * 16, _mm256_mul_ps(scale, values_of_fp8(quads, pair * 16)),
                   _mm256_mul_ps(scale, values_of_fp8(quads, pair * 16 + 8)));
      }
    }
  }
}

void expand_nf4_by_lanes(uint16_t* block, const uint8_t* packed, int64_t inner, int64_t) {
  int64_t line = 0;
  for (int64_t begin = 0; begin < inner; begin += kNf4Group) {
    const auto* const most = reinterpret_cast<const float*>(packed);
    packed += 128;
    for (int64_t i = 0; i < kNf4Group / 8; ++i, packed += 128, line += 4) {
      for (int64_t y = 0; y < 4; ++y) {
        const __m256i bytes = load(packed + y * 32);
        const __m256 largest = _mm256_loadu_ps(most + y * 8);
        for (int pair = 0; pair < 4 && line + pair < inner / 2; ++pair) {
          const int shift = pair % 2 * 16 + pair / 2 * 4;
          store_pair(block + (line + pair) * 64 + y * 16, _mm256_mul_ps(largest, values_of_nf4(bytes, shift)),
                     _mm256_mul_ps(largest, values_of_nf4(bytes, shift + 8)));
        }
      }
    }
  }
}
