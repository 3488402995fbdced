// Of avx2.cpp, which includes this within its unnamed namespace: weights into the order of cpu_kernels.h and back.

// The first `count` of 8 lanes.
__m256i first_lanes(int64_t count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

void pack(Bf16* packed, const Bf16* rows, int64_t stride, int64_t weight_rows, int64_t inner, int64_t begin,
          int64_t end) {
  rows -= begin * kBlockRows * stride;
  for (int64_t first = begin * kBlockRows; first < end * kBlockRows; first += 8) {
    for (int64_t k = 0; k < inner; k += 16) {
      const int64_t count = (inner - k < 16 ? inner - k : 16) / 2;
      const __m256i lanes = first_lanes(count);
      __m256i v[8];
#pragma GCC unroll 8
      for (int r = 0; r < 8; ++r) {
        v[r] = first + r < weight_rows
                   ? _mm256_maskload_epi32(reinterpret_cast<const int*>(rows + (first + r) * stride + k), lanes)
                   : _mm256_setzero_si256();
      }
      transpose(v);
      Bf16* to = packed + (first / kBlockRows * (inner / 2) + k / 2) * 64 + first % kBlockRows * 2;
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) {
        if (i < count) _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i * 64), v[i]);
      }
    }
  }
}

void unpack(Bf16* rows, int64_t stride, const Bf16* packed, int64_t weight_rows, int64_t inner, int64_t begin,
            int64_t end) {
  rows -= begin * kBlockRows * stride;
  for (int64_t first = begin * kBlockRows; first < end * kBlockRows; first += 8) {
    for (int64_t k = 0; k < inner; k += 16) {
      const int64_t count = (inner - k < 16 ? inner - k : 16) / 2;
      const __m256i lanes = first_lanes(count);
      const Bf16* from = packed + (first / kBlockRows * (inner / 2) + k / 2) * 64 + first % kBlockRows * 2;
      __m256i v[8];
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) v[i] = i < count ? load(from + i * 64) : _mm256_setzero_si256();
      transpose(v);
#pragma GCC unroll 8
      for (int r = 0; r < 8; ++r) {
        if (first + r >= weight_rows) continue;
        _mm256_maskstore_epi32(reinterpret_cast<int*>(rows + (first + r) * stride + k), lanes, v[r]);
      }
    }
  }
}
