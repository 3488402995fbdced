// AVX-512 with BF16.
#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/cpu/cpu_kernels.h"

namespace facellm {
namespace {

#include "kernels/cpu/avx512_common.h"

// Of k, where a block is read by several groups of rows: what they share stays in the second cache.
constexpr int64_t kDepth = 5120;
// Of x in bytes, which all blocks pass by together: some of the third cache.
constexpr int64_t kNearBytes = 4 << 20;
// Rows whose sums are kept meanwhile.
constexpr int64_t kStripRows = 16 * kRows;

__m512 widened(__m256i bits) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

void look_up(const Bf16* table, const Bf16* line, Bf16* to, int64_t left) {
  if (left < kBlockRows) {
    for (int64_t n = 0; n < left; ++n) to[n] = table[line[n]];
    return;
  }
#pragma GCC unroll 8
  for (int64_t n = 0; n < kBlockRows; n += 4) {
    uint64_t four;
    __builtin_memcpy(&four, line + n, sizeof four);
    const uint64_t found = table[four & 0xffff] | static_cast<uint64_t>(table[four >> 16 & 0xffff]) << 16 |
                           static_cast<uint64_t>(table[four >> 32 & 0xffff]) << 32 | static_cast<uint64_t>(table[four >> 48]) << 48;
    __builtin_memcpy(to + n, &found, sizeof found);
  }
}

void finish(const CpuProduct* p, int64_t block, int64_t first_row, int64_t rows, const float* sums) {
  const int64_t column = block * kBlockRows, left = p->weight_rows - column;
  const __mmask32 mask = left >= 32 ? ~__mmask32{0} : (__mmask32{1} << left) - 1;
  __m512 low = _mm512_setzero_ps(), high = low, low_scale = low, high_scale = low;
  if (p->scales != nullptr) {
    low_scale = _mm512_loadu_ps(p->scales + column);
    high_scale = _mm512_loadu_ps(p->scales + column + 16);
  }
  if (p->bias != nullptr) {
    const __m512i bias = _mm512_maskz_loadu_epi16(mask, p->bias + column);
    low = widened(_mm512_castsi512_si256(bias));
    high = widened(_mm512_extracti64x4_epi64(bias, 1));
  }
  for (int64_t r = 0; r < rows; ++r, sums += 32) {
    __m512 a = _mm512_loadu_ps(sums), b = _mm512_loadu_ps(sums + 16);
    if (p->scales != nullptr) {
      a = _mm512_mul_ps(a, low_scale);
      b = _mm512_mul_ps(b, high_scale);
    }
    if (p->bias != nullptr) {
      a = _mm512_add_ps(a, low);
      b = _mm512_add_ps(b, high);
    }
    const auto bits = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(b, a));
    Bf16* const to = p->out + (first_row + r) * p->out_stride + column;
    if (p->table != nullptr) {
      alignas(64) Bf16 line[kBlockRows];
      _mm512_store_si512(line, bits);
      look_up(p->table, line, to, left);
    } else if (left >= kBlockRows) {
      _mm512_storeu_si512(to, bits);
    } else {
      _mm512_mask_storeu_epi16(to, mask, bits);
    }
  }
}

// x is read where it lies, but where the rows of a group share sets of the first cache and several groups read theirs again for
// every block: then its pairs stand group by group.
int64_t arranged_bytes(const CpuProduct* p) {
  const bool shares_sets = p->x_stride * 2 % kCacheSetsBytes == 0;
  return shares_sets && groups_of(p->rows) > 1 ? p->rows * p->inner * 2 : 0;
}

void arrange(void* arranged, const CpuProduct* p, int64_t begin_group, int64_t end_group) {
  const int64_t groups = groups_of(p->rows);
  for (int64_t g = begin_group; g < end_group && g < groups; ++g) {
    const int64_t first = group_begin(p->rows, g), count = group_begin(p->rows, g + 1) - first;
    const Bf16* const from = p->x + first * p->x_stride;
    Bf16* const to = static_cast<Bf16*>(arranged) + first * p->inner;
    const auto lanes = static_cast<__mmask16>((1u << count) - 1);
    for (int64_t k = 0; k < p->inner; k += 32) {
      const int64_t pairs = (p->inner - k < 32 ? p->inner - k : 32) / 2;
      const auto mask = static_cast<__mmask16>((1u << pairs) - 1);
      __m512i v[16];
#pragma GCC unroll 16
      for (int r = 0; r < 16; ++r) {
        v[r] = r < count ? _mm512_maskz_loadu_epi32(mask, from + r * p->x_stride + k) : _mm512_setzero_si512();
      }
      transpose(v);
      Bf16* const own = to + k * count;
      // What a store writes past its pair's rows the next one puts right. The last two must not, since behind them another group
      // may begin: groups are of six rows at least.
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) {
        if (pairs == 16 && i < 14) {
          _mm512_storeu_si512(own + i * 2 * count, v[i]);
        } else if (i < pairs) {
          _mm512_mask_storeu_epi32(own + i * 2 * count, lanes, v[i]);
        }
      }
    }
  }
}

void multiply_once(const CpuProduct* p, int64_t block) {
  alignas(64) float sums[kRows * 32];
  const Bf16* w = p->weight + block * p->inner * kBlockRows;
  kAddLines[p->rows](w, p->inner / 2, p->x, 2, p->x_stride, {reinterpret_cast<const char*>(w) + p->prefetch, 128}, sums,
                     true);
  finish(p, block, 0, p->rows, sums);
}

// Lines that finish() will write, often each of a page of its own: it would wait for every one.
void prefetch_out(const CpuProduct* p, int64_t block, int64_t first_row, int64_t rows) {
  for (int64_t r = first_row; r < first_row + rows; ++r) {
    __builtin_prefetch(p->out + r * p->out_stride + block * kBlockRows, 1);
  }
}

// Of groups [begin, end) of x, a strip. Each pass fetches its share of what comes next, or memory would idle in all of them but
// the first; `passes` share a chunk.
void multiply_strip(const CpuProduct* p, int64_t block, int64_t begin, int64_t end, int64_t passes) {
  alignas(64) float sums[kStripRows * 32];
  const auto* const arranged = static_cast<const Bf16*>(p->arranged);
  const Bf16* w = p->weight + block * p->inner * kBlockRows;
  const int64_t chunks = (p->inner + kDepth - 1) / kDepth;
  const int64_t strip_begin = group_begin(p->rows, begin);
  for (int64_t c = 0; c < chunks; ++c) {
    const int64_t line = p->inner / 2 * c / chunks, lines = p->inner / 2 * (c + 1) / chunks - line;
    const char* next = reinterpret_cast<const char*>(w + (line + lines) * 64);
    for (int64_t g = begin; g < end; ++g) {
      const int64_t first = group_begin(p->rows, g), count = group_begin(p->rows, g + 1) - first;
      const int64_t share = lines * 128 / passes;
      if (c == 0) prefetch_out(p, block, first, count);
      const bool is_arranged = arranged != nullptr;
      const Bf16* const x = is_arranged ? arranged + first * p->inner + line * 2 * count : p->x + first * p->x_stride + line * 2;
      kAddLines[count](w + line * 64, lines, x, is_arranged ? 2 * count : 2, is_arranged ? 2 : p->x_stride,
                       {next + share * (g % passes), 128 / passes}, sums + (first - strip_begin) * 32, c == 0);
    }
  }
  finish(p, block, strip_begin, group_begin(p->rows, end) - strip_begin, sums);
}

// Where x is near enough a block is read once, for all of it; else strip by strip, each of which stays near while all blocks
// pass by.
void multiply(const CpuProduct* p, int64_t begin, int64_t end, int64_t first_strip, int64_t end_strip) {
  constexpr int64_t kGroups = kStripRows / kRows;
  const int64_t groups = groups_of(p->rows);
  if (groups == 1) {
    for (int64_t block = begin; block < end; ++block) multiply_once(p, block);
    return;
  }
  const int64_t at_once = p->rows * p->inner * 2 <= kNearBytes ? end_strip - first_strip : 1;
  for (int64_t strip = first_strip; strip < end_strip; strip += at_once) {
    const int64_t last = (strip + at_once) * kGroups < groups ? (strip + at_once) * kGroups : groups;
    for (int64_t block = begin; block < end; ++block) {
      for (int64_t first = strip * kGroups; first < last; first += kGroups) {
        multiply_strip(p, block, first, first + kGroups < last ? first + kGroups : last, last - strip * kGroups);
      }
    }
  }
}

void unpack(Bf16* rows, int64_t stride, const Bf16* packed, int64_t weight_rows, int64_t inner, int64_t begin,
            int64_t end) {
  rows -= begin * kBlockRows * stride;
  for (int64_t block = begin; block < end; ++block) {
    for (int64_t half = 0; half < 2; ++half) {
      const int64_t first = block * kBlockRows + half * 16;
      for (int64_t k = 0; k < inner; k += 32) {
        const int64_t count = (inner - k < 32 ? inner - k : 32) / 2;
        const auto mask = static_cast<__mmask16>((1u << count) - 1);
        const Bf16* from = packed + (block * (inner / 2) + k / 2) * 64 + half * 32;
        __m512i v[16];
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i) v[i] = i < count ? _mm512_loadu_si512(from + i * 64) : _mm512_setzero_si512();
        transpose(v);
#pragma GCC unroll 16
        for (int r = 0; r < 16; ++r) {
          if (first + r < weight_rows) _mm512_mask_storeu_epi32(rows + (first + r) * stride + k, mask, v[r]);
        }
      }
    }
  }
}

}  // namespace

const CpuKernels kAvx512Kernels{"avx512", kAnyRows, pack, unpack, arranged_bytes, kRows, arrange, multiply, kStripRows, true, finish};

}  // namespace facellm
#endif
