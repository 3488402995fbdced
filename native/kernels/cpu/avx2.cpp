// AVX2 with FMA: bf16 becomes fp32 by a shift (the lower one of a pair) or a mask (the upper one). x is widened once;
// sums take the even k before the odd one, so that they are the reference's bit for bit.
#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/cpu/cpu_kernels.h"

namespace facellm {
namespace {

#include "kernels/cpu/avx2_common.h"

// Of x at once: 12 of 16 registers are sums of half a line.
constexpr int kRows = 6;
// Of k, where a block is read in several passes: 7 KB of weights, which stay in the first cache beside what is fetched of the next.
constexpr int64_t kDepth = 112;
// Rows whose sums are kept meanwhile.
constexpr int64_t kStripRows = 16 * kRows;
// The same of a panel in fp32, and the rows from which on making it pays.
constexpr int64_t kPanelDepth = 256, kFewestWidened = 24;
// Of x in fp32 that stays near while a block is read.
constexpr int64_t kNearBytes = 1 << 20;
// Behind each row of x, so that rows of 4 KB do not share places of the cache.
constexpr int64_t kGap = 16;

struct Fetch {
  const char* at;
  int64_t step;  // bytes a line
};

__m256 even(__m256i pairs) { return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)); }
__m256 odd(__m256i pairs) {
  return _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int>(0xffff0000u))));
}
__m256i load(const Bf16* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }

#include "kernels/cpu/avx2_packing.h"

// sums [R][32], columns [0, 8 Y) of it, of `lines` lines: on top of what is there, or afresh.
template <int R, int Y>
__attribute__((noinline)) void add_lines(const Bf16* w, int64_t lines, const float* x, int64_t stride, Fetch fetch,
                                         float* sums, bool is_first) {
  __m256 sum[R][Y];
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int y = 0; y < Y; ++y) sum[r][y] = is_first ? _mm256_setzero_ps() : _mm256_loadu_ps(sums + r * 32 + y * 8);
  }
  for (int64_t i = 0; i < lines; ++i, w += 64, x += 2, fetch.at += fetch.step) {
    _mm_prefetch(fetch.at, _MM_HINT_T0);
    if (Y == 4) _mm_prefetch(fetch.at + 64, _MM_HINT_T0);
    __m256 own[Y];
#pragma GCC unroll 4
    for (int y = 0; y < Y; ++y) own[y] = even(load(w + y * 16));
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
      const __m256 value = _mm256_broadcast_ss(x + r * stride);
#pragma GCC unroll 4
      for (int y = 0; y < Y; ++y) sum[r][y] = _mm256_fmadd_ps(own[y], value, sum[r][y]);
    }
#pragma GCC unroll 4
    for (int y = 0; y < Y; ++y) own[y] = odd(load(w + y * 16));
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
      const __m256 value = _mm256_broadcast_ss(x + r * stride + 1);
#pragma GCC unroll 4
      for (int y = 0; y < Y; ++y) sum[r][y] = _mm256_fmadd_ps(own[y], value, sum[r][y]);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int y = 0; y < Y; ++y) _mm256_storeu_ps(sums + r * 32 + y * 8, sum[r][y]);
  }
}

using AddLines = void (*)(const Bf16*, int64_t, const float*, int64_t, Fetch, float*, bool);
// Of a whole line for one and two rows, which fit; of half a line for more.
constexpr AddLines kAddLines[kRows + 1] = {nullptr,         add_lines<1, 4>, add_lines<2, 4>, add_lines<3, 2>,
                                           add_lines<4, 2>, add_lines<5, 2>, add_lines<6, 2>};

float widened(Bf16 bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  __builtin_memcpy(&value, &wide, sizeof value);
  return value;
}

void look_up(const Bf16* table, Bf16* line) {
#pragma GCC unroll 8
  for (int64_t n = 0; n < kBlockRows; ++n) line[n] = table[line[n]];
}

void finish(const CpuProduct* p, int64_t block, int64_t first_row, int64_t rows, const float* sums) {
  const int64_t column = block * kBlockRows, left = p->weight_rows - column;
  const int64_t count = left < kBlockRows ? left : kBlockRows;
  alignas(32) float bias[kBlockRows] = {};
  if (p->bias != nullptr) {
    for (int64_t n = 0; n < count; ++n) bias[n] = widened(p->bias[column + n]);
  }
  for (int64_t r = 0; r < rows; ++r, sums += 32) {
    alignas(32) Bf16 line[kBlockRows];
    for (int half = 0; half < 32; half += 16) {
      __m256 low = _mm256_loadu_ps(sums + half), high = _mm256_loadu_ps(sums + half + 8);
      if (p->bias != nullptr) {
        low = _mm256_add_ps(low, _mm256_load_ps(bias + half));
        high = _mm256_add_ps(high, _mm256_load_ps(bias + half + 8));
      }
      const __m256i both = _mm256_packus_epi32(rounded(low), rounded(high));
      _mm256_store_si256(reinterpret_cast<__m256i*>(line + half), _mm256_permute4x64_epi64(both, 0xd8));
    }
    if (p->table != nullptr) look_up(p->table, line);
    __builtin_memcpy(p->out + (first_row + r) * p->out_stride + column, line, static_cast<size_t>(count) * 2);
  }
}

int64_t groups_of(int64_t rows) { return (rows + kRows - 1) / kRows; }
int64_t group_begin(int64_t rows, int64_t group) { return rows * group / groups_of(rows); }

int64_t arranged_bytes(const CpuProduct* p) { return p->rows * (p->inner + kGap) * 4; }

// x in fp32, row by row.
void arrange(void* arranged, const CpuProduct* p, int64_t begin_group, int64_t end_group) {
  const int64_t groups = groups_of(p->rows);
  const int64_t end = group_begin(p->rows, end_group < groups ? end_group : groups);
  for (int64_t row = group_begin(p->rows, begin_group); row < end; ++row) {
    const Bf16* from = p->x + row * p->x_stride;
    float* to = static_cast<float*>(arranged) + row * (p->inner + kGap);
    int64_t k = 0;
    for (; k + 8 <= p->inner; k += 8) {
      const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + k));
      _mm256_storeu_ps(to + k, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16)));
    }
    for (; k < p->inner; ++k) to[k] = widened(from[k]);
  }
}

void multiply_once(const CpuProduct* p, int64_t block) {
  float sums[2 * 32];
  const Bf16* w = p->weight + block * p->inner * kBlockRows;
  kAddLines[p->rows](w, p->inner / 2, static_cast<const float*>(p->arranged), p->inner + kGap,
                     {reinterpret_cast<const char*>(w) + p->prefetch, 128}, sums, true);
  finish(p, block, 0, p->rows, sums);
}

// A half of a block for so many k as fp32, pairs apart: [k][16], 16 KB, which the first cache holds beside six rows of x.
void widen_panel(const Bf16* w, int64_t lines, float* panel) {
  for (int64_t i = 0; i < lines; ++i, w += 64, panel += 32) {
    const __m256i low = load(w), high = load(w + 16);
    _mm256_store_ps(panel, even(low));
    _mm256_store_ps(panel + 8, even(high));
    _mm256_store_ps(panel + 16, odd(low));
    _mm256_store_ps(panel + 24, odd(high));
  }
}

// As add_lines, of a panel.
template <int R>
__attribute__((noinline)) void add_panel(const float* panel, int64_t depth, const float* x, int64_t stride, Fetch fetch, float* sums,
                                         bool is_first) {
  __m256 sum[R][2];
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int y = 0; y < 2; ++y) sum[r][y] = is_first ? _mm256_setzero_ps() : _mm256_loadu_ps(sums + r * 32 + y * 8);
  }
  for (int64_t k = 0; k < depth; k += 2, x += 2, panel += 32, fetch.at += fetch.step) {
    _mm_prefetch(fetch.at, _MM_HINT_T1);
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
      const __m256 low = _mm256_load_ps(panel + j * 16), high = _mm256_load_ps(panel + j * 16 + 8);
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) {
        const __m256 value = _mm256_broadcast_ss(x + r * stride + j);
        sum[r][0] = _mm256_fmadd_ps(low, value, sum[r][0]);
        sum[r][1] = _mm256_fmadd_ps(high, value, sum[r][1]);
      }
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int y = 0; y < 2; ++y) _mm256_storeu_ps(sums + r * 32 + y * 8, sum[r][y]);
  }
}

using AddPanel = void (*)(const float*, int64_t, const float*, int64_t, Fetch, float*, bool);
constexpr AddPanel kAddPanel[kRows + 1] = {nullptr, add_panel<1>, add_panel<2>, add_panel<3>, add_panel<4>, add_panel<5>, add_panel<6>};

// Groups [begin, end) of many rows: what is read of a block is widened once for all of them.
void multiply_strip(const CpuProduct* p, int64_t block, int64_t begin, int64_t end) {
  float sums[kStripRows * 32];
  alignas(32) float panel[kPanelDepth * 16];
  const auto* x = static_cast<const float*>(p->arranged);
  const int64_t stride = p->inner + kGap, strip_begin = group_begin(p->rows, begin), passes = end - begin;
  const Bf16* const w = p->weight + block * p->inner * kBlockRows;
  for (int64_t k = 0; k < p->inner; k += kPanelDepth) {
    const int64_t depth = p->inner - k < kPanelDepth ? p->inner - k : kPanelDepth;
    for (int64_t half = 0; half < 2; ++half) {
      const Bf16* const from = w + k * 32 + half * 32;
      widen_panel(from, depth / 2, panel);
      const char* const next = reinterpret_cast<const char*>(half == 0 ? from + 32 : w + (k + depth) * 32);
      for (int64_t g = begin; g < end; ++g) {
        const int64_t first = group_begin(p->rows, g), count = group_begin(p->rows, g + 1) - first;
        kAddPanel[count](panel, depth, x + first * stride + k, stride, {next + depth * 64 / passes * (g - begin), 128 / passes},
                         sums + (first - strip_begin) * 32 + half * 16, k == 0);
      }
    }
  }
  finish(p, block, strip_begin, group_begin(p->rows, end) - strip_begin, sums);
}

// Strip by strip, each of which stays near while all blocks pass by; where all of x is near, block by block.
void multiply_strips(const CpuProduct* p, int64_t begin, int64_t end, int64_t first_strip, int64_t end_strip) {
  constexpr int64_t kGroups = kStripRows / kRows;
  const int64_t groups = groups_of(p->rows);
  const int64_t at_once = p->rows * (p->inner + kGap) * 4 <= kNearBytes ? end_strip - first_strip : 1;
  for (int64_t strip = first_strip; strip < end_strip; strip += at_once) {
    const int64_t last = (strip + at_once) * kGroups < groups ? (strip + at_once) * kGroups : groups;
    for (int64_t block = begin; block < end; ++block) {
      for (int64_t first = strip * kGroups; first < last; first += kGroups) {
        multiply_strip(p, block, first, first + kGroups < last ? first + kGroups : last);
      }
    }
  }
}

// Fewer rows than panels pay for. Each pass fetches its share of the chunk that comes next, or memory would idle in all of them but the
// first.
void multiply_groups(const CpuProduct* p, int64_t block) {
  float sums[kFewestWidened * 32];
  const int64_t groups = groups_of(p->rows), passes = 2 * groups, stride = p->inner + kGap;
  const auto* x = static_cast<const float*>(p->arranged);
  const Bf16* const w = p->weight + block * p->inner * kBlockRows;
  for (int64_t k = 0; k < p->inner; k += kDepth) {
    const int64_t lines = (p->inner - k < kDepth ? p->inner - k : kDepth) / 2;
    const char* const next = reinterpret_cast<const char*>(w + (k / 2 + lines) * 64);
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t first = group_begin(p->rows, g), count = group_begin(p->rows, g + 1) - first;
      for (int64_t half = 0; half < (count <= 2 ? 1 : 2); ++half) {
        const int64_t share = lines * 128 / passes * (2 * g + half);
        kAddLines[count](w + k * 32 + half * 32, lines, x + first * stride + k, stride, {next + share, 128 / passes},
                         sums + first * 32 + half * 16, k == 0);
      }
    }
  }
  finish(p, block, 0, p->rows, sums);
}

void multiply(const CpuProduct* p, int64_t begin, int64_t end, int64_t first_strip, int64_t end_strip) {
  if (p->rows >= kFewestWidened) return multiply_strips(p, begin, end, first_strip, end_strip);
  for (int64_t block = begin; block < end; ++block) {
    if (p->rows <= 2) {
      multiply_once(p, block);
    } else {
      multiply_groups(p, block);
    }
  }
}

}  // namespace

const CpuKernels kAvx2Kernels{"avx2", kAnyRows, pack, unpack, arranged_bytes, kRows, arrange, multiply, kStripRows};
const CpuKernels kAvx2BesideAvx512Kernels{"avx2", 63, pack, unpack, arranged_bytes, kRows, arrange, multiply, kStripRows};

}  // namespace facellm
#endif
