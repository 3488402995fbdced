// Of avx2_quantised.cpp, which includes this within its unnamed namespace: many rows of x. Codes of half a block are widened
// to int16 once for 96 rows, [k / 2][16][2], so that the loop over k has nothing but loads, vpmaddwd and sums: half as many
// multiplications as fp32 needs. Every row of x lies as int16 here, of int4 too.

// Of x at once: 12 of 16 registers are sums.
constexpr int kPanelRows = 6;
// Rows whose sums are kept while a panel's depth passes by.
constexpr int64_t kStripRows = 16 * kPanelRows;
// Columns of a panel, 16 KB, which the first cache holds beside six rows of x; whole groups of int4.
constexpr int64_t kPanelDepth = 512;
// Columns for which lanes are exact: 2,048 * 127 * 8,191 < 2^31. Whole panels.
constexpr int64_t kExactOfPairs = 2048;
// Of arranged x that stays near while a block is read.
constexpr int64_t kNearBytes = 1 << 20;

// Quads of columns of 8 rows, bytes, as pairs of 16 bits: columns 0 and 1, then 2 and 3.
void widen_quads(__m256i quads, int16_t* panel) {
  const __m256 first = _mm256_castsi256_ps(_mm256_cvtepi8_epi16(_mm256_castsi256_si128(quads)));
  const __m256 second = _mm256_castsi256_ps(_mm256_cvtepi8_epi16(_mm256_extracti128_si256(quads, 1)));
  const auto store = [](int16_t* to, __m256 pairs) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(to), _mm256_permute4x64_epi64(_mm256_castps_si256(pairs), 0xd8));
  };
  store(panel, _mm256_shuffle_ps(first, second, 0x88));
  store(panel + 32, _mm256_shuffle_ps(first, second, 0xdd));
}

// Half a block, from its line on, of so many columns (a multiple of 4).
void widen_int8(const uint8_t* w, int64_t depth, int16_t* panel) {
  for (int64_t k = 0; k < depth; k += 4, w += 128, panel += 64) {
    widen_quads(load(w), panel);
    widen_quads(load(w + 32), panel + 16);
  }
}

// The same of whole groups, whose scales become fp32, [groups][16].
void widen_int4(const uint8_t* record, int64_t depth, int64_t group, int64_t half, int16_t* panel, float* scales) {
  const __m256i nibble = _mm256_set1_epi8(15), above = _mm256_set1_epi8(8);
  for (int64_t begin = 0; begin < depth; begin += group, scales += 16) {
    for (int64_t y = 0; y < 2; ++y) {
      const auto* const halves = reinterpret_cast<const __m128i*>(record + half * 32 + y * 16);
      _mm256_store_ps(scales + y * 8, _mm256_cvtph_ps(_mm_loadu_si128(halves)));
    }
    record += 64;
    for (int64_t k = 0; k < group; k += 8, record += 128, panel += 128) {
      for (int64_t y = 0; y < 2; ++y) {
        const __m256i both = load(record + half * 64 + y * 32);
        widen_quads(_mm256_sub_epi8(_mm256_and_si256(both, nibble), above), panel + y * 16);
        widen_quads(_mm256_sub_epi8(_mm256_and_si256(_mm256_srli_epi16(both, 4), nibble), above), panel + 64 + y * 16);
      }
    }
  }
}

// Adds pairs of a panel times R rows of x. Sums of eight rows of weights a register.
template <int R>
inline __attribute__((always_inline)) void add_pairs(const int16_t* panel, int64_t pairs, const uint8_t* x, int64_t stride,
                                                     Fetch* fetch, __m256i (*sum)[2]) {
  for (int64_t i = 0; i < pairs; ++i, panel += 32, x += 4, fetch->at += fetch->step) {
    _mm_prefetch(fetch->at, _MM_HINT_T1);
    const __m256i low = _mm256_load_si256(reinterpret_cast<const __m256i*>(panel));
    const __m256i high = _mm256_load_si256(reinterpret_cast<const __m256i*>(panel + 16));
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
      int bits;
      __builtin_memcpy(&bits, x + r * stride, 4);
      const __m256i codes = _mm256_set1_epi32(bits);
      __m256i a = _mm256_add_epi32(sum[r][0], _mm256_madd_epi16(low, codes));
      __m256i b = _mm256_add_epi32(sum[r][1], _mm256_madd_epi16(high, codes));
      __asm__("" : "+x"(a), "+x"(b));  // else the compiler gathers all products and spills the sums
      sum[r][0] = a, sum[r][1] = b;
    }
  }
}

// sums [R][32], columns [0, 16) of it: on top of what is there, or afresh.
template <int R>
__attribute__((noinline)) void add_int8(const int16_t* panel, int64_t pairs, const uint8_t* x, int64_t stride, Fetch fetch,
                                        int32_t* sums, bool is_first) {
  __m256i sum[R][2];
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) {
    for (int y = 0; y < 2; ++y) {
      sum[r][y] = is_first ? _mm256_setzero_si256() : _mm256_loadu_si256(reinterpret_cast<const __m256i*>(sums + r * 32 + y * 8));
    }
  }
  add_pairs<R>(panel, pairs, x, stride, &fetch, sum);
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) {
    for (int y = 0; y < 2; ++y) _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + r * 32 + y * 8), sum[r][y]);
  }
}

// The same of int4's groups, each of which has a scale.
template <int R>
__attribute__((noinline)) void add_int4(const int16_t* panel, int64_t groups, int64_t group, const float* scales, const uint8_t* x,
                                        int64_t stride, Fetch fetch, float* sums) {
  for (int64_t g = 0; g < groups; ++g, panel += group * 16, x += 2 * group, scales += 16) {
    __m256i sum[R][2];
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = _mm256_setzero_si256();
    add_pairs<R>(panel, group / 2, x, stride, &fetch, sum);
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
      for (int y = 0; y < 2; ++y) {
        float* const to = sums + r * 32 + y * 8;
        _mm256_storeu_ps(to, _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[r][y]), _mm256_load_ps(scales + y * 8), _mm256_loadu_ps(to)));
      }
    }
  }
}

using AddInt8 = void (*)(const int16_t*, int64_t, const uint8_t*, int64_t, Fetch, int32_t*, bool);
using AddInt4 = void (*)(const int16_t*, int64_t, int64_t, const float*, const uint8_t*, int64_t, Fetch, float*);
constexpr AddInt8 kAddInt8[kPanelRows + 1] = {nullptr, add_int8<1>, add_int8<2>, add_int8<3>, add_int8<4>, add_int8<5>, add_int8<6>};
constexpr AddInt4 kAddInt4[kPanelRows + 1] = {nullptr, add_int4<1>, add_int4<2>, add_int4<3>, add_int4<4>, add_int4<5>, add_int4<6>};

// Rows [begin, end) of x, no more than a strip, in groups of nearly equal size; calls add(first, count, fetch), each of which
// fetches its share of what comes next.
template <typename Add>
void each_group(int64_t begin, int64_t end, int64_t pairs, const uint8_t* next, int64_t bytes, const Add& add) {
  const int64_t rows = end - begin, groups = (rows + kPanelRows - 1) / kPanelRows;
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t first = rows * g / groups, count = rows * (g + 1) / groups - first;
    add(first, count, Fetch{reinterpret_cast<const char*>(next) + bytes * g / groups, bytes / groups / pairs});
  }
}

void multiply_int8_strip(const QuantisedProduct* p, int64_t block, int64_t begin, int64_t end) {
  alignas(32) int16_t panel[kPanelDepth * 16];
  int32_t parts[kStripRows * kBlock];
  double sums[kStripRows * kBlock];
  const int64_t stride = int8_row_bytes(p->inner), columns = whole(p->inner, 4);
  const uint8_t* const w = p->weight + block * int8_block_bytes(p->inner);
  const auto* const x = static_cast<const uint8_t*>(p->arranged) + begin * stride + kHead;
  for (int64_t k = 0; k < columns; k += kPanelDepth) {
    const int64_t depth = columns - k < kPanelDepth ? columns - k : kPanelDepth;
    for (int64_t half = 0; half < 2; ++half) {
      const uint8_t* const own = w + 256 + k * 32 + half * 64;
      widen_int8(own, depth, panel);
      const uint8_t* const next = w + 256 + (k + depth) * 32 + half * depth * 16;
      each_group(begin, end, depth / 2, next, depth * 16, [&](int64_t first, int64_t count, Fetch fetch) {
        kAddInt8[count](panel, depth / 2, x + first * stride + 2 * k, stride, fetch, parts + first * 32 + half * 16,
                        k % kExactOfPairs == 0);
      });
    }
    if (k + depth < columns && (k + depth) % kExactOfPairs != 0) continue;
    for (int64_t i = 0; i < (end - begin) * kBlock; ++i) sums[i] = (k < kExactOfPairs ? 0 : sums[i]) + parts[i];
  }
  for (int64_t row = begin; row < end; ++row) {
    alignas(32) float scaled[kBlock];
    for (int n = 0; n < kBlock; ++n) scaled[n] = static_cast<float>(sums[(row - begin) * kBlock + n]) * float_at(w + n * 4);
    put(p, row, block * kBlock, scaled, float_at(x + (row - begin) * stride - kHead));
  }
}

void multiply_int4_strip(const QuantisedProduct* p, int64_t block, int64_t begin, int64_t end) {
  alignas(32) int16_t panel[kPanelDepth * 16];
  alignas(32) float scales[kPanelDepth / 32 * 16];
  float sums[kStripRows * kBlock] = {};
  const int64_t stride = int4_row_bytes(p->inner, p->group), columns = whole(p->inner, p->group);
  const uint8_t* const w = p->weight + block * int4_block_bytes(p->inner, p->group);
  const auto* const x = static_cast<const uint8_t*>(p->arranged) + begin * stride + kHead;
  for (int64_t k = 0; k < columns; k += kPanelDepth) {
    const int64_t depth = columns - k < kPanelDepth ? columns - k : kPanelDepth;
    const uint8_t* const own = w + k / p->group * int4_record_bytes(p->group);
    for (int64_t half = 0; half < 2; ++half) {
      widen_int4(own, depth, p->group, half, panel, scales);
      each_group(begin, end, depth / 2, own + depth * (16 + 8 * half), depth * 8, [&](int64_t first, int64_t count, Fetch fetch) {
        kAddInt4[count](panel, depth / p->group, p->group, scales, x + first * stride + 2 * k, stride, fetch,
                        sums + first * 32 + half * 16);
      });
    }
  }
  for (int64_t row = begin; row < end; ++row) {
    put(p, row, block * kBlock, sums + (row - begin) * kBlock, float_at(x + (row - begin) * stride - kHead));
  }
}

// Strip by strip, each of which stays near while all blocks pass by; where all of x is near, block by block.
template <typename MultiplyStrip>
void multiply_strips(const QuantisedProduct* p, int64_t row_bytes, int64_t begin, int64_t end, const MultiplyStrip& multiply_strip) {
  const int64_t at_once = p->rows * row_bytes <= kNearBytes ? p->rows : kStripRows;
  for (int64_t from = 0; from < p->rows; from += at_once) {
    const int64_t to = from + at_once < p->rows ? from + at_once : p->rows;
    for (int64_t block = begin; block < end; ++block) {
      for (int64_t first = from; first < to; first += kStripRows) {
        multiply_strip(p, block, first, first + kStripRows < to ? first + kStripRows : to);
      }
    }
  }
}
