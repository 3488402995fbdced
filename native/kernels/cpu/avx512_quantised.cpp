// AVX-512 with VNNI: vpdpbusd multiplies quads of unsigned by quads of signed bytes. x's code is 128 high + low. For int8
// x is the unsigned side, code + 8192, which the weights' sum of codes mends; for int4 the weights are, code + 8, which
// x's sums of groups mend.
#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/cpu/quantised_kernels.h"

namespace facellm {
namespace {

#include "kernels/cpu/quantised_common.h"
#include "kernels/cpu/float_codes_common.h"

// Of x at once: 24 of 32 registers are sums.
constexpr int kRows = 6;

struct Fetch {
  const char* at;
  int64_t step;  // bytes a line of 128
};

// Quads of k, eight bytes each: high parts, low parts.
template <bool IsInt8>
void arrange_rows(const QuantisedProduct* p, int64_t columns, int64_t row_bytes, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    auto* const to = static_cast<uint8_t*>(p->arranged) + row * row_bytes;
    const XScale x = scale_of_x(p, row);
    __builtin_memcpy(to, &x.scale, 4);
    const __m512 inverse = _mm512_set1_ps(x.inverse);
    const auto* const wide = static_cast<const float*>(p->x) + row * p->x_stride;
    const auto* const narrow = static_cast<const uint16_t*>(p->x) + row * p->x_stride;
    __m512i sum = _mm512_setzero_si512();
    for (int64_t k = 0; k < columns; k += 16) {
      const int64_t left = p->inner - k, room = columns - k;
      const auto mask = static_cast<__mmask16>(left >= 16 ? 0xffff : left <= 0 || x.inverse == 0 ? 0 : (1u << left) - 1);
      const __mmask16 own = x.inverse == 0 ? 0 : mask;
      const __m512 values =
          p->is_wide ? _mm512_maskz_loadu_ps(own, wide + k)
                     : _mm512_castsi512_ps(_mm512_slli_epi32(
                           _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(own, narrow + k)), 16));
      const __m512i codes = _mm512_maskz_cvtps_epi32(own, _mm512_mul_ps(values, inverse));
      sum = _mm512_add_epi32(sum, codes);
      __m512i high, low;
      if (IsInt8) {
        const __m512i above = _mm512_add_epi32(codes, _mm512_set1_epi32(8192));
        high = _mm512_srli_epi32(above, 7);
        low = _mm512_and_si512(above, _mm512_set1_epi32(127));
      } else {
        high = _mm512_srai_epi32(_mm512_add_epi32(codes, _mm512_set1_epi32(64)), 7);
        low = _mm512_sub_epi32(codes, _mm512_slli_epi32(high, 7));
      }
      const __m128i h = _mm512_cvtepi32_epi8(high), l = _mm512_cvtepi32_epi8(low);
      const __m256i both = _mm256_set_m128i(_mm_unpackhi_epi32(h, l), _mm_unpacklo_epi32(h, l));
      const auto quads = static_cast<__mmask8>(room >= 16 ? 0xff : (1u << (room / 4 * 2)) - 1);
      _mm256_mask_storeu_epi32(to + kHead + 2 * k, quads, both);
      if (!IsInt8 && (k + 16) % p->group == 0) {
        const int32_t all = _mm512_reduce_add_epi32(sum);
        __builtin_memcpy(to + kHead + 2 * columns + k / p->group * 4, &all, 4);
        sum = _mm512_setzero_si512();
      }
    }
  }
}

void arrange_int8(const QuantisedProduct* p, int64_t begin, int64_t end) {
  arrange_rows<true>(p, whole(p->inner, 4), int8_row_bytes(p->inner), begin, end);
}

void arrange_int4(const QuantisedProduct* p, int64_t begin, int64_t end) {
  arrange_rows<false>(p, whole(p->inner, p->group), int4_row_bytes(p->inner, p->group), begin, end);
}

__m512i quad(const uint8_t* x) {
  int bits;
  __builtin_memcpy(&bits, x, sizeof bits);
  return _mm512_set1_epi32(bits);
}

float float_at(const uint8_t* from) {
  float value;
  __builtin_memcpy(&value, from, 4);
  return value;
}

// Columns [column, column + 16) of a row of `out`: sum * scale + bias.
void put(const QuantisedProduct* p, int64_t row, int64_t column, __m512 sum, float scale) {
  const int64_t left = p->weight_rows - column, at = row * p->out_stride + column;
  if (left <= 0) return;
  const auto mask = static_cast<__mmask16>(left >= 16 ? 0xffff : (1u << left) - 1);
  sum = _mm512_mul_ps(sum, _mm512_set1_ps(scale));
  if (p->is_wide) {
    if (p->bias != nullptr) {
      sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask, static_cast<const float*>(p->bias) + column));
    }
    _mm512_mask_storeu_ps(static_cast<float*>(p->out) + at, mask, sum);
    return;
  }
  if (p->bias != nullptr) {
    const __m256i bias = _mm256_maskz_loadu_epi16(mask, static_cast<const uint16_t*>(p->bias) + column);
    sum = _mm512_add_ps(sum, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bias), 16)));
  }
  // Not vcvtneps2bf16, which takes denormals for zero.
  const __m512i bits = _mm512_castps_si512(sum), upper = _mm512_srli_epi32(bits, 16);
  const __m512i last = _mm512_and_si512(upper, _mm512_set1_epi32(1));
  __m512i near = _mm512_srli_epi32(_mm512_add_epi32(bits, _mm512_add_epi32(last, _mm512_set1_epi32(0x7fff))), 16);
  near = _mm512_mask_or_epi32(near, _mm512_cmp_ps_mask(sum, sum, _CMP_UNORD_Q), upper, _mm512_set1_epi32(64));
  _mm256_mask_storeu_epi16(static_cast<uint16_t*>(p->out) + at, mask, _mm512_cvtepi32_epi16(near));
}

// 128 high + low - 8192 sum of weights, rounded to fp32 once.
__m512 joined(__m512i high, __m512i low, __m512i weights) {
  const auto half = [](__m256i h, __m256i l, __m256i w) {
    const __m512d all = _mm512_fmadd_pd(_mm512_cvtepi32_pd(h), _mm512_set1_pd(128), _mm512_cvtepi32_pd(l));
    return _mm512_cvtpd_ps(_mm512_fnmadd_pd(_mm512_cvtepi32_pd(w), _mm512_set1_pd(8192), all));
  };
  const __m256 first = half(_mm512_castsi512_si256(high), _mm512_castsi512_si256(low), _mm512_castsi512_si256(weights));
  const __m256 second = half(_mm512_extracti64x4_epi64(high, 1), _mm512_extracti64x4_epi64(low, 1),
                             _mm512_extracti64x4_epi64(weights, 1));
  return _mm512_insertf32x8(_mm512_castps256_ps512(first), second, 1);
}

template <int R>
__attribute__((noinline)) void int8_block(const QuantisedProduct* p, const uint8_t* w, const uint8_t* x, int64_t stride,
                                          Fetch fetch, int64_t first_row, int64_t column) {
  const uint8_t* const head = w;
  __m512i high[R][2], low[R][2];
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) high[r][0] = high[r][1] = low[r][0] = low[r][1] = _mm512_setzero_si512();
  const uint8_t* quads = x + kHead;
  w += 256;
  for (int64_t i = 0; i < (p->inner + 3) / 4; ++i, w += 128, quads += 8, fetch.at += fetch.step) {
    _mm_prefetch(fetch.at, _MM_HINT_T0);
    _mm_prefetch(fetch.at + 64, _MM_HINT_T0);
    const __m512i a = _mm512_loadu_si512(w), b = _mm512_loadu_si512(w + 64);
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
      const __m512i h = quad(quads + r * stride), l = quad(quads + r * stride + 4);
      high[r][0] = _mm512_dpbusd_epi32(high[r][0], h, a);
      high[r][1] = _mm512_dpbusd_epi32(high[r][1], h, b);
      low[r][0] = _mm512_dpbusd_epi32(low[r][0], l, a);
      low[r][1] = _mm512_dpbusd_epi32(low[r][1], l, b);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      const __m512 sum = joined(high[r][half], low[r][half], _mm512_loadu_si512(head + 128 + half * 64));
      put(p, first_row + r, column + half * 16, _mm512_mul_ps(sum, _mm512_loadu_ps(head + half * 64)),
          float_at(x + r * stride));
    }
  }
}

template <int R>
__attribute__((noinline)) void int4_block(const QuantisedProduct* p, const uint8_t* w, const uint8_t* x, int64_t stride,
                                          Fetch fetch, int64_t first_row, int64_t column) {
  alignas(64) float sums[R][32] = {};
  const int64_t groups = whole(p->inner, p->group) / p->group;
  const uint8_t* quads = x + kHead;
  const uint8_t* x_sums = quads + 2 * groups * p->group;
  const __m512i nibble = _mm512_set1_epi8(15);
  for (int64_t g = 0; g < groups; ++g, x_sums += 4) {
    const __m512i halves = _mm512_loadu_si512(w);
    w += 64;
    __m512i high[R][2], low[R][2];
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) high[r][0] = high[r][1] = low[r][0] = low[r][1] = _mm512_setzero_si512();
    fetch.at += fetch.step / 2;
    for (int64_t i = 0; i < p->group / 8; ++i, w += 128, quads += 16, fetch.at += fetch.step) {
      _mm_prefetch(fetch.at, _MM_HINT_T0);
      _mm_prefetch(fetch.at + 64, _MM_HINT_T0);
      const __m512i a = _mm512_loadu_si512(w), b = _mm512_loadu_si512(w + 64);
      const __m512i a_low = _mm512_and_si512(a, nibble), b_low = _mm512_and_si512(b, nibble);
      const __m512i a_high = _mm512_and_si512(_mm512_srli_epi16(a, 4), nibble);
      const __m512i b_high = _mm512_and_si512(_mm512_srli_epi16(b, 4), nibble);
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) {
        const uint8_t* const at = quads + r * stride;
        high[r][0] = _mm512_dpbusd_epi32(high[r][0], a_low, quad(at));
        high[r][1] = _mm512_dpbusd_epi32(high[r][1], b_low, quad(at));
        low[r][0] = _mm512_dpbusd_epi32(low[r][0], a_low, quad(at + 4));
        low[r][1] = _mm512_dpbusd_epi32(low[r][1], b_low, quad(at + 4));
        high[r][0] = _mm512_dpbusd_epi32(high[r][0], a_high, quad(at + 8));
        high[r][1] = _mm512_dpbusd_epi32(high[r][1], b_high, quad(at + 8));
        low[r][0] = _mm512_dpbusd_epi32(low[r][0], a_high, quad(at + 12));
        low[r][1] = _mm512_dpbusd_epi32(low[r][1], b_high, quad(at + 12));
      }
    }
    const __m512 scale[2]{_mm512_cvtph_ps(_mm512_castsi512_si256(halves)),
                          _mm512_cvtph_ps(_mm512_extracti64x4_epi64(halves, 1))};
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
      const __m512i above = _mm512_slli_epi32(quad(x_sums + r * stride), 3);
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half) {
        const __m512i own = _mm512_sub_epi32(
            _mm512_add_epi32(_mm512_slli_epi32(high[r][half], 7), low[r][half]), above);
        _mm512_store_ps(sums[r] + half * 16, _mm512_fmadd_ps(_mm512_cvtepi32_ps(own), scale[half],
                                                             _mm512_load_ps(sums[r] + half * 16)));
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int half = 0; half < 2; ++half) {
      put(p, first_row + r, column + half * 16, _mm512_load_ps(sums[r] + half * 16), float_at(x + r * stride));
    }
  }
}

using Block = void (*)(const QuantisedProduct*, const uint8_t*, const uint8_t*, int64_t, Fetch, int64_t, int64_t);
constexpr Block kInt8[kRows + 1] = {nullptr,       int8_block<1>, int8_block<2>, int8_block<3>,
                                    int8_block<4>, int8_block<5>, int8_block<6>};
constexpr Block kInt4[kRows + 1] = {nullptr,       int4_block<1>, int4_block<2>, int4_block<3>,
                                    int4_block<4>, int4_block<5>, int4_block<6>};

// Groups of nearly equal size: 7 rows are 4 and 3, not 6 and 1. Each pass fetches its share of the next block.
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
  multiply(p, kInt8, int8_block_bytes(p->inner), int8_row_bytes(p->inner), begin, end);
}

void multiply_int4(const QuantisedProduct* p, int64_t begin, int64_t end) {
  multiply(p, kInt4, int4_block_bytes(p->inner, p->group), int4_row_bytes(p->inner, p->group), begin, end);
}

// Bytes `shift` of 16 dwords as bf16, in the lower half of each.
__m512i bf16_of_codes(__m512i quads, int shift) {
  const __m512i codes = _mm512_srai_epi32(_mm512_slli_epi32(quads, static_cast<unsigned>(24 - shift)), 24);
  return _mm512_srli_epi32(_mm512_castps_si512(_mm512_cvtepi32_ps(codes)), 16);
}

void expand_int8(uint16_t* block, const uint8_t* packed, int64_t inner, int64_t) {
  packed += 256;
  for (int64_t line = 0; line < inner / 2; line += 2, packed += 128) {
    for (int64_t half = 0; half < 2; ++half) {
      const __m512i quads = _mm512_loadu_si512(packed + half * 64);
      uint16_t* const to = block + line * 64 + half * 32;
      _mm512_storeu_si512(to, _mm512_or_si512(bf16_of_codes(quads, 0), _mm512_slli_epi32(bf16_of_codes(quads, 8), 16)));
      if (line + 1 == inner / 2) continue;  // K is no multiple of 4
      _mm512_storeu_si512(to + 64, _mm512_or_si512(bf16_of_codes(quads, 16), _mm512_slli_epi32(bf16_of_codes(quads, 24), 16)));
    }
  }
}

// What the codes at `shift` stand for, as fp32 rounded to bf16, away from zero where two are equally near.
__m512i bits_of_nibbles(__m512i bytes, int shift, __m512 scale) {
  const __m512i above = _mm512_and_si512(_mm512_srli_epi32(bytes, static_cast<unsigned>(shift)), _mm512_set1_epi32(15));
  const __m512 codes = _mm512_cvtepi32_ps(_mm512_sub_epi32(above, _mm512_set1_epi32(8)));
  return _mm512_add_epi32(_mm512_castps_si512(_mm512_mul_ps(codes, scale)), _mm512_set1_epi32(0x8000));
}

void expand_int4(uint16_t* block, const uint8_t* packed, int64_t inner, int64_t group) {
  const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xffff0000));
  int64_t line = 0;
  for (int64_t begin = 0; begin < inner; begin += group) {
    const __m512i halves = _mm512_loadu_si512(packed);
    const __m512 scales[2]{_mm512_cvtph_ps(_mm512_castsi512_si256(halves)), _mm512_cvtph_ps(_mm512_extracti64x4_epi64(halves, 1))};
    packed += 64;
    for (int64_t i = 0; i < group / 8; ++i, packed += 128, line += 4) {
      for (int64_t half = 0; half < 2; ++half) {
        const __m512i bytes = _mm512_loadu_si512(packed + half * 64);
        for (int pair = 0; pair < 4 && line + pair < inner / 2; ++pair) {
          const int shift = pair % 2 * 16 + pair / 2 * 4;
          const __m512i first = _mm512_srli_epi32(bits_of_nibbles(bytes, shift, scales[half]), 16);
          const __m512i second = _mm512_and_si512(bits_of_nibbles(bytes, shift + 8, scales[half]), upper);
          _mm512_storeu_si512(block + (line + pair) * 64 + half * 32, _mm512_or_si512(first, second));
        }
      }
    }
  }
}

// fp32 to bf16's bits in the lower half, to nearest, ties to even.
__m512i rounded_lanes(__m512 values) {
  const __m512i all = _mm512_castps_si512(values);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(all, 16), _mm512_set1_epi32(1));
  return _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(all, odd), _mm512_set1_epi32(0x7fff)), 16);
}

// What the bytes at `shift` stand for; no NaN among them.
__m512 values_of_fp8(__m512i quads, int shift) {
  const __m512i codes = _mm512_srli_epi32(quads, static_cast<unsigned>(shift));
  const __m512i sign = _mm512_slli_epi32(_mm512_and_si512(codes, _mm512_set1_epi32(0x80)), 24);
  const __m512i rest = _mm512_and_si512(codes, _mm512_set1_epi32(0x7f));
  const __m512i normal = _mm512_add_epi32(_mm512_slli_epi32(rest, 20), _mm512_set1_epi32(120 << 23));
  const __m512i small = _mm512_castps_si512(_mm512_mul_ps(_mm512_cvtepi32_ps(rest), _mm512_set1_ps(0x1p-9f)));
  const __mmask16 is_small = _mm512_cmplt_epi32_mask(rest, _mm512_set1_epi32(8));
  return _mm512_castsi512_ps(_mm512_or_si512(_mm512_mask_blend_epi32(is_small, normal, small), sign));
}

void expand_fp8_by_lanes(uint16_t* block, const uint8_t* packed, int64_t inner, int64_t) {
  const __m512 scales[2]{_mm512_loadu_ps(packed), _mm512_loadu_ps(packed + 64)};
  packed += 128;
  for (int64_t line = 0; line < inner / 2; line += 2, packed += 128) {
    for (int64_t half = 0; half < 2; ++half) {
      const __m512i quads = _mm512_loadu_si512(packed + half * 64);
      for (int pair = 0; pair < 2 && line + pair < inner / 2; ++pair) {
        const __m512i first = rounded_lanes(_mm512_mul_ps(scales[half], values_of_fp8(quads, pair * 16)));
        const __m512i second = rounded_lanes(_mm512_mul_ps(scales[half], values_of_fp8(quads, pair * 16 + 8)));
        _mm512_storeu_si512(block + (line + pair) * 64 + half * 32, _mm512_or_si512(first, _mm512_slli_epi32(second, 16)));
      }
    }
  }
}

void expand_nf4_by_lanes(uint16_t* block, const uint8_t* packed, int64_t inner, int64_t) {
  const __m512 table = _mm512_loadu_ps(kNf4Values);
  int64_t line = 0;
  for (int64_t begin = 0; begin < inner; begin += kNf4Group) {
    const __m512 most[2]{_mm512_loadu_ps(packed), _mm512_loadu_ps(packed + 64)};
    packed += 128;
    for (int64_t i = 0; i < kNf4Group / 8; ++i, packed += 128, line += 4) {
      for (int64_t half = 0; half < 2; ++half) {
        const __m512i bytes = _mm512_loadu_si512(packed + half * 64);
        for (int pair = 0; pair < 4 && line + pair < inner / 2; ++pair) {
          const auto shift = static_cast<unsigned>(pair % 2 * 16 + pair / 2 * 4);
          // The lookup takes the lower four bits alone.
          const __m512 low = _mm512_permutexvar_ps(_mm512_srli_epi32(bytes, shift), table);
          const __m512 high = _mm512_permutexvar_ps(_mm512_srli_epi32(bytes, shift + 8), table);
          const __m512i first = rounded_lanes(_mm512_mul_ps(most[half], low));
          const __m512i second = rounded_lanes(_mm512_mul_ps(most[half], high));
          _mm512_storeu_si512(block + (line + pair) * 64 + half * 32, _mm512_or_si512(first, _mm512_slli_epi32(second, 16)));
        }
      }
    }
  }
}

}  // namespace

const QuantisedKernels kAvx512Quantised{
    "avx512",
    {INT64_MAX, pack_int8, unpack_int8, int8_arranged_bytes, arrange_int8, multiply_int8, expand_int8},
    {INT64_MAX, pack_int4, unpack_int4, int4_arranged_bytes, arrange_int4, multiply_int4, expand_int4},
    {0, pack_fp8, unpack_fp8, nullptr, nullptr, nullptr, expand_fp8_by_lanes},
    {0, pack_nf4, unpack_nf4, nullptr, nullptr, nullptr, expand_nf4_by_lanes}};

}  // namespace facellm
#endif
