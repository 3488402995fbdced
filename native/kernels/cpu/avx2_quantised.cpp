// AVX2. int8: bytes of weights are widened and multiplied with x's codes by vpmaddwd; lanes are exact for 4,128 columns,
// so that sums go to fp64 every 4,096. int4: vpmaddubsw of code + 8 with x's high and low parts, x's code being 128 high +
// low, both within 64: 16 pairs of them fit into 16 bits, 64 columns. Many rows: avx2_quantised_panels.h.
#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/cpu/quantised_kernels.h"

namespace facellm {
namespace {

#include "kernels/cpu/avx2_common.h"
#include "kernels/cpu/quantised_common.h"
#include "kernels/cpu/float_codes_common.h"

// Of x at once: more would not leave room for the weights.
constexpr int kRows = 3;
constexpr int64_t kExact = 4096;  // columns
// Rows from which on widening codes for all of them pays.
constexpr int64_t kFewestWidened = 24;

struct Fetch {
  const char* at;
  int64_t step;  // bytes a line of 128
};

__m256 widened(__m128i bits) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16)); }

__m256 load_x(const QuantisedProduct* p, int64_t row, int64_t k) {
  if (p->is_wide) return _mm256_loadu_ps(static_cast<const float*>(p->x) + row * p->x_stride + k);
  const auto* const x = static_cast<const uint16_t*>(p->x) + row * p->x_stride + k;
  return widened(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
}

float x_at(const QuantisedProduct* p, int64_t row, int64_t k) {
  const int64_t at = row * p->x_stride + k;
  return p->is_wide ? static_cast<const float*>(p->x)[at] : widened_bf16(static_cast<const uint16_t*>(p->x)[at]);
}

// Eight codes from column k on, zeros where x has ended.
__m128i codes_of(const QuantisedProduct* p, int64_t row, int64_t k, float inverse) {
  __m256i codes = _mm256_setzero_si256();
  if (inverse != 0 && k + 8 <= p->inner) {
    codes = _mm256_cvtps_epi32(_mm256_mul_ps(load_x(p, row, k), _mm256_set1_ps(inverse)));
  } else if (inverse != 0 && k < p->inner) {
    alignas(32) float values[8] = {};
    for (int64_t j = 0; k + j < p->inner; ++j) values[j] = x_at(p, row, k + j);
    codes = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_load_ps(values), _mm256_set1_ps(inverse)));
  }
  return _mm_packs_epi32(_mm256_castsi256_si128(codes), _mm256_extracti128_si256(codes, 1));
}

// Codes int16.
void arrange_pairs(const QuantisedProduct* p, int64_t columns, int64_t row_bytes, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    auto* const to = static_cast<uint8_t*>(p->arranged) + row * row_bytes;
    const XScale x = scale_of_x(p, row);
    __builtin_memcpy(to, &x.scale, 4);
    for (int64_t k = 0; k < columns; k += 8) {
      const __m128i codes = codes_of(p, row, k, x.inverse);
      __builtin_memcpy(to + kHead + 2 * k, &codes, k + 8 <= columns ? 16 : 8);
    }
  }
}

void arrange_int8(const QuantisedProduct* p, int64_t begin, int64_t end) {
  arrange_pairs(p, whole(p->inner, 4), int8_row_bytes(p->inner), begin, end);
}

// Quads of columns: four high parts, four low ones; then each group's sum of codes.
void arrange_int4(const QuantisedProduct* p, int64_t begin, int64_t end) {
  const int64_t columns = whole(p->inner, p->group), row_bytes = int4_row_bytes(p->inner, p->group);
  if (p->rows >= kFewestWidened) return arrange_pairs(p, columns, row_bytes, begin, end);
  for (int64_t row = begin; row < end; ++row) {
    auto* const to = static_cast<uint8_t*>(p->arranged) + row * row_bytes;
    const XScale x = scale_of_x(p, row);
    __builtin_memcpy(to, &x.scale, 4);
    __m128i sums = _mm_setzero_si128();
    for (int64_t k = 0; k < columns; k += 8) {
      const __m128i codes = codes_of(p, row, k, x.inverse);
      sums = _mm_add_epi32(sums, _mm_madd_epi16(codes, _mm_set1_epi16(1)));
      const __m128i high = _mm_srai_epi16(_mm_add_epi16(codes, _mm_set1_epi16(64)), 7);
      const __m128i low = _mm_sub_epi16(codes, _mm_slli_epi16(high, 7));
      const __m128i both = _mm_packs_epi16(high, low);  // quads: high, high, low, low
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + kHead + 2 * k), _mm_shuffle_epi32(both, 0xd8));
      if ((k + 8) % p->group == 0) {
        alignas(16) int32_t parts[4];
        _mm_store_si128(reinterpret_cast<__m128i*>(parts), sums);
        const int32_t all = parts[0] + parts[1] + parts[2] + parts[3];
        __builtin_memcpy(to + kHead + 2 * columns + k / p->group * 4, &all, 4);
        sums = _mm_setzero_si128();
      }
    }
  }
}

float float_at(const uint8_t* from) {
  float value;
  __builtin_memcpy(&value, from, 4);
  return value;
}

// A block's columns of a row of `out`: sums * scale + bias.
void put(const QuantisedProduct* p, int64_t row, int64_t column, const float* sums, float scale) {
  const int64_t left = p->weight_rows - column, at = row * p->out_stride + column;
  const auto size = static_cast<size_t>((left < kBlock ? left : kBlock) * (p->is_wide ? 4 : 2));
  alignas(32) uint8_t bias[kBlock * 4] = {}, out[kBlock * 4];
  if (p->bias != nullptr) __builtin_memcpy(bias, static_cast<const uint8_t*>(p->bias) + column * (p->is_wide ? 4 : 2), size);
  for (int64_t n = 0; n < kBlock; n += 8) {
    __m256 sum = _mm256_mul_ps(_mm256_loadu_ps(sums + n), _mm256_set1_ps(scale));
    if (p->is_wide) {
      if (p->bias != nullptr) sum = _mm256_add_ps(sum, _mm256_load_ps(reinterpret_cast<const float*>(bias) + n));
      _mm256_store_ps(reinterpret_cast<float*>(out) + n, sum);
      continue;
    }
    if (p->bias != nullptr) sum = _mm256_add_ps(sum, widened(_mm_load_si128(reinterpret_cast<const __m128i*>(bias) + n / 8)));
    const __m256i near = rounded(sum);
    const __m128i bits = _mm_packus_epi32(_mm256_castsi256_si128(near), _mm256_extracti128_si256(near, 1));
    _mm_store_si128(reinterpret_cast<__m128i*>(out) + n / 8, bits);
  }
  __builtin_memcpy(static_cast<uint8_t*>(p->out) + at * (p->is_wide ? 4 : 2), out, size);
}

__m256i load(const uint8_t* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }

// sums [R][32], rows of weights [8 y, 8 y + 8 Y) of a block: on top of what is there, of `lines` lines.
template <int R, int Y>
__attribute__((noinline)) void int8_lines(const uint8_t* w, int64_t lines, const uint8_t* x, int64_t stride, Fetch fetch,
                                          double (*sums)[kBlock]) {
  __m256i sum[R][2 * Y];
#pragma GCC unroll 3
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int y = 0; y < 2 * Y; ++y) sum[r][y] = _mm256_setzero_si256();
  }
  for (int64_t i = 0; i < lines; ++i, w += 128, x += 8, fetch.at += fetch.step) {
    _mm_prefetch(fetch.at, _MM_HINT_T0);
    if (Y == 4) _mm_prefetch(fetch.at + 64, _MM_HINT_T0);
#pragma GCC unroll 8
    for (int y = 0; y < 2 * Y; ++y) {
      const __m256i own =
          _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w + y * 16)));
#pragma GCC unroll 3
      for (int r = 0; r < R; ++r) {
        long long codes;
        __builtin_memcpy(&codes, x + r * stride, 8);
        __m256i next = _mm256_add_epi32(sum[r][y], _mm256_madd_epi16(own, _mm256_set1_epi64x(codes)));
        __asm__("" : "+x"(next));  // else the compiler gathers all products and spills the sums
        sum[r][y] = next;
      }
    }
  }
#pragma GCC unroll 3
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int y = 0; y < 2 * Y; ++y) {
      const __m256d low = _mm256_cvtepi32_pd(_mm256_castsi256_si128(sum[r][y]));
      const __m256d high = _mm256_cvtepi32_pd(_mm256_extracti128_si256(sum[r][y], 1));
      const __m256d rows = _mm256_permute4x64_pd(_mm256_hadd_pd(low, high), 0xd8);
      _mm256_storeu_pd(sums[r] + 4 * y, _mm256_add_pd(_mm256_loadu_pd(sums[r] + 4 * y), rows));
    }
  }
}

template <int R>
void int8_block(const QuantisedProduct* p, const uint8_t* w, const uint8_t* x, int64_t stride, Fetch fetch,
                int64_t first_row, int64_t column) {
  double sums[R][kBlock] = {};
  const int64_t lines = (p->inner + 3) / 4;
  for (int64_t line = 0; line < lines; line += kExact / 4) {
    const int64_t count = lines - line < kExact / 4 ? lines - line : kExact / 4;
    const uint8_t *const own = w + 256 + line * 128, *const own_x = x + kHead + line * 8;
    const Fetch here{fetch.at + line * fetch.step, fetch.step};
    if constexpr (R == 1) {
      int8_lines<1, 4>(own, count, own_x, stride, here, sums);
    } else {
      // Each half fetches one line of two.
      int8_lines<R, 2>(own, count, own_x, stride, here, sums);
      int8_lines<R, 2>(own + 64, count, own_x, stride, {here.at + 64, here.step},
                       reinterpret_cast<double(*)[kBlock]>(&sums[0][16]));
    }
  }
  for (int r = 0; r < R; ++r) {
    float scaled[kBlock];
    for (int n = 0; n < kBlock; ++n) scaled[n] = static_cast<float>(sums[r][n]) * float_at(w + n * 4);
    put(p, first_row + r, column, scaled, float_at(x + r * stride));
  }
}

// Of at most 64 columns: sums [R][32], rows of weights [0, 8 Y), of products of code + 8.
template <int R, int Y>
__attribute__((noinline)) void int4_lines(const uint8_t* w, int64_t lines, const uint8_t* x, int64_t stride, Fetch fetch,
                                          int32_t (*sums)[kBlock], bool is_first) {
  __m256i high[R][Y], low[R][Y];
#pragma GCC unroll 3
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int y = 0; y < Y; ++y) high[r][y] = low[r][y] = _mm256_setzero_si256();
  }
  const __m256i nibble = _mm256_set1_epi8(15);
  const auto quad = [](const uint8_t* at) {
    int bits;
    __builtin_memcpy(&bits, at, sizeof bits);
    return _mm256_set1_epi32(bits);
  };
  for (int64_t i = 0; i < lines; ++i, w += 128, x += 16, fetch.at += fetch.step) {
    _mm_prefetch(fetch.at, _MM_HINT_T0);
    if (Y == 4) _mm_prefetch(fetch.at + 64, _MM_HINT_T0);
#pragma GCC unroll 4
    for (int y = 0; y < Y; ++y) {
      const __m256i both = load(w + y * 32);
      const __m256i first = _mm256_and_si256(both, nibble);
      const __m256i second = _mm256_and_si256(_mm256_srli_epi16(both, 4), nibble);
#pragma GCC unroll 3
      for (int r = 0; r < R; ++r) {
        const uint8_t* const at = x + r * stride;
        high[r][y] = _mm256_add_epi16(high[r][y], _mm256_maddubs_epi16(first, quad(at)));
        low[r][y] = _mm256_add_epi16(low[r][y], _mm256_maddubs_epi16(first, quad(at + 4)));
        high[r][y] = _mm256_add_epi16(high[r][y], _mm256_maddubs_epi16(second, quad(at + 8)));
        low[r][y] = _mm256_add_epi16(low[r][y], _mm256_maddubs_epi16(second, quad(at + 12)));
      }
    }
  }
#pragma GCC unroll 3
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int y = 0; y < Y; ++y) {
      __m256i all = _mm256_add_epi32(_mm256_madd_epi16(high[r][y], _mm256_set1_epi16(128)),
                                     _mm256_madd_epi16(low[r][y], _mm256_set1_epi16(1)));
      auto* const to = reinterpret_cast<__m256i*>(sums[r] + 8 * y);
      if (!is_first) all = _mm256_add_epi32(all, _mm256_loadu_si256(to));
      _mm256_storeu_si256(to, all);
    }
  }
}

template <int R>
void int4_block(const QuantisedProduct* p, const uint8_t* w, const uint8_t* x, int64_t stride, Fetch fetch,
                int64_t first_row, int64_t column) {
  float sums[R][kBlock] = {};
  const int64_t groups = whole(p->inner, p->group) / p->group;
  const uint8_t* quads = x + kHead;
  const uint8_t* x_sums = quads + 2 * groups * p->group;
  const int64_t most = p->group < 64 ? p->group : 64;  // columns at once
  for (int64_t g = 0; g < groups; ++g, x_sums += 4) {
    const uint8_t* const halves = w;
    w += 64;
    fetch.at += fetch.step / 2;
    int32_t own[R][kBlock];
    for (int64_t k = 0; k < p->group; k += most, w += most * 16, quads += most * 2) {
      const Fetch here = fetch;
      if constexpr (R == 1) {
        int4_lines<1, 4>(w, most / 8, quads, stride, here, own, k == 0);
      } else {
        int4_lines<R, 2>(w, most / 8, quads, stride, here, own, k == 0);
        int4_lines<R, 2>(w + 64, most / 8, quads, stride, {here.at + 64, here.step},
                         reinterpret_cast<int32_t(*)[kBlock]>(&own[0][16]), k == 0);
      }
      fetch.at += most / 8 * fetch.step;
    }
#pragma GCC unroll 4
    for (int y = 0; y < 4; ++y) {
      const __m256 scale = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(halves + y * 16)));
#pragma GCC unroll 3
      for (int r = 0; r < R; ++r) {
        int32_t above;
        __builtin_memcpy(&above, x_sums + r * stride, 4);
        const __m256i exact = _mm256_sub_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(own[r] + 8 * y)),
                                               _mm256_set1_epi32(above * 8));
        _mm256_storeu_ps(sums[r] + 8 * y, _mm256_fmadd_ps(_mm256_cvtepi32_ps(exact), scale, _mm256_loadu_ps(sums[r] + 8 * y)));
      }
    }
  }
  for (int r = 0; r < R; ++r) put(p, first_row + r, column, sums[r], float_at(x + r * stride));
}

#include "kernels/cpu/avx2_quantised_panels.h"
#include "kernels/cpu/avx2_float_codes.h"

using Block = void (*)(const QuantisedProduct*, const uint8_t*, const uint8_t*, int64_t, Fetch, int64_t, int64_t);
constexpr Block kInt8[kRows + 1] = {nullptr, int8_block<1>, int8_block<2>, int8_block<3>};
constexpr Block kInt4[kRows + 1] = {nullptr, int4_block<1>, int4_block<2>, int4_block<3>};

// Groups of nearly equal size: 4 rows are 2 and 2. Each pass fetches its share of the next block.
void multiply(const QuantisedProduct* p, const Block* kernels, int64_t block_bytes, int64_t row_bytes, int64_t begin,
              int64_t end) {
  const int64_t groups = (p->rows + kRows - 1) / kRows;
  const auto* const x = static_cast<const uint8_t*>(p->arranged);
  for (int64_t block = begin; block < end; ++block) {
    const uint8_t* const w = p->weight + block * block_bytes;
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t first = p->rows * g / groups, count = p->rows * (g + 1) / groups - first;
      const auto* const next = reinterpret_cast<const char*>(w);
      const Fetch fetch = groups == 1 ? Fetch{next + p->prefetch, 128}
                                      : Fetch{next + block_bytes + block_bytes / groups * g, 128 / groups};
      kernels[count](p, w, x + first * row_bytes, row_bytes, fetch, first, block * kBlock);
    }
  }
}

void multiply_int8(const QuantisedProduct* p, int64_t begin, int64_t end) {
  if (p->rows >= kFewestWidened) return multiply_strips(p, int8_row_bytes(p->inner), begin, end, multiply_int8_strip);
  multiply(p, kInt8, int8_block_bytes(p->inner), int8_row_bytes(p->inner), begin, end);
}

void multiply_int4(const QuantisedProduct* p, int64_t begin, int64_t end) {
  if (p->rows >= kFewestWidened) return multiply_strips(p, int4_row_bytes(p->inner, p->group), begin, end, multiply_int4_strip);
  multiply(p, kInt4, int4_block_bytes(p->inner, p->group), int4_row_bytes(p->inner, p->group), begin, end);
}

}  // namespace

const QuantisedKernels kAvx2Quantised{
    "avx2",
    {INT64_MAX, pack_int8, unpack_int8, int8_arranged_bytes, arrange_int8, multiply_int8},
    {INT64_MAX, pack_int4, unpack_int4, int4_arranged_bytes, arrange_int4, multiply_int4},
    {0, pack_fp8, unpack_fp8, nullptr, nullptr, nullptr, expand_fp8_by_lanes},
    {0, pack_nf4, unpack_nf4, nullptr, nullptr, nullptr, expand_nf4_by_lanes}};

}  // namespace facellm
#endif
