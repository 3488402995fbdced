// Of the units for AVX-512 with BF16, each of which includes this within its own unnamed namespace: a line of 128 bytes of
// packed numbers, 32 rows times a pair of k, is two operands of vdpbf16ps, whose other operand is a pair of x in every
// lane. It takes denormals for zero.

// Of x at once: 24 of 32 registers are sums. Two are the weights' line, one the pair of x.
constexpr int kRows = 12;
// What the passes over a block fetch of what comes next.
struct Fetch {
  const char* at;
  int64_t step;  // bytes a line
};

__m512i pairs(const Bf16* line) { return _mm512_loadu_si512(line); }

__m512i pair(const Bf16* x) {
  int bits;
  __builtin_memcpy(&bits, x, sizeof bits);
  return _mm512_set1_epi32(bits);
}

// sums [R][32] of `lines` lines, on top of what is there or afresh. Pair i of row r at x + i * step + r * stride.
template <int R>
__attribute__((noinline)) void add_lines(const Bf16* w, int64_t lines, const Bf16* x, int64_t step, int64_t stride,
                                         Fetch fetch, float* sums, bool is_first) {
  __m512 sum[R][2];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    sum[r][0] = is_first ? _mm512_setzero_ps() : _mm512_loadu_ps(sums + r * 32);
    sum[r][1] = is_first ? _mm512_setzero_ps() : _mm512_loadu_ps(sums + r * 32 + 16);
  }
  for (int64_t i = 0; i < lines; ++i, w += 64, x += step, fetch.at += fetch.step) {
    _mm_prefetch(fetch.at, _MM_HINT_T0);
    _mm_prefetch(fetch.at + 64, _MM_HINT_T0);
    const auto low = reinterpret_cast<__m512bh>(pairs(w)), high = reinterpret_cast<__m512bh>(pairs(w + 32));
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const auto both = reinterpret_cast<__m512bh>(pair(x + r * stride));
      sum[r][0] = _mm512_dpbf16_ps(sum[r][0], low, both);
      sum[r][1] = _mm512_dpbf16_ps(sum[r][1], high, both);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    _mm512_storeu_ps(sums + r * 32, sum[r][0]);
    _mm512_storeu_ps(sums + r * 32 + 16, sum[r][1]);
  }
}

using AddLines = void (*)(const Bf16*, int64_t, const Bf16*, int64_t, int64_t, Fetch, float*, bool);
constexpr AddLines kAddLines[kRows + 1] = {nullptr,       add_lines<1>, add_lines<2>, add_lines<3>,  add_lines<4>,
                                           add_lines<5>, add_lines<6>, add_lines<7>, add_lines<8>,  add_lines<9>,
                                           add_lines<10>, add_lines<11>, add_lines<12>};

// 16 rows of 16 pairs, a register each, turned so that a register holds one pair of each row.
[[gnu::always_inline]] inline void transpose(__m512i rows[16]) {
  __m512i t[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; i += 4) {
    rows[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    rows[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    rows[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    rows[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  // rows[4 a + j]: pair 4 l + j of rows 4 a ... 4 a + 3 in its quarter l.
#pragma GCC unroll 16
  for (int j = 0; j < 4; ++j) {
    t[j] = _mm512_shuffle_i32x4(rows[j], rows[j + 4], 0x88);
    t[j + 4] = _mm512_shuffle_i32x4(rows[j], rows[j + 4], 0xdd);
    t[j + 8] = _mm512_shuffle_i32x4(rows[j + 8], rows[j + 12], 0x88);
    t[j + 12] = _mm512_shuffle_i32x4(rows[j + 8], rows[j + 12], 0xdd);
  }
#pragma GCC unroll 16
  for (int j = 0; j < 4; ++j) {
    rows[j] = _mm512_shuffle_i32x4(t[j], t[j + 8], 0x88);
    rows[j + 8] = _mm512_shuffle_i32x4(t[j], t[j + 8], 0xdd);
    rows[j + 4] = _mm512_shuffle_i32x4(t[j + 4], t[j + 12], 0x88);
    rows[j + 12] = _mm512_shuffle_i32x4(t[j + 4], t[j + 12], 0xdd);
  }
}

// Groups of nearly equal size: 13 rows are 7 and 6, not 12 and 1.
int64_t groups_of(int64_t rows) { return (rows + kRows - 1) / kRows; }
int64_t group_begin(int64_t rows, int64_t group) { return rows * group / groups_of(rows); }

void pack(Bf16* packed, const Bf16* rows, int64_t stride, int64_t weight_rows, int64_t inner, int64_t begin,
          int64_t end) {
  rows -= begin * kBlockRows * stride;
  for (int64_t block = begin; block < end; ++block) {
    for (int64_t half = 0; half < 2; ++half) {
      const int64_t first = block * kBlockRows + half * 16;
      for (int64_t k = 0; k < inner; k += 32) {
        const int64_t count = (inner - k < 32 ? inner - k : 32) / 2;
        const auto mask = static_cast<__mmask16>((1u << count) - 1);
        __m512i v[16];
#pragma GCC unroll 16
        for (int r = 0; r < 16; ++r) {
          const bool is_there = first + r < weight_rows;
          v[r] = _mm512_maskz_loadu_epi32(is_there ? mask : __mmask16{0}, rows + (is_there ? first + r : 0) * stride + k);
        }
        transpose(v);
        Bf16* to = packed + (block * (inner / 2) + k / 2) * 64 + half * 32;
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i) {
          if (i < count) _mm512_storeu_si512(to + i * 64, v[i]);
        }
      }
    }
  }
}
