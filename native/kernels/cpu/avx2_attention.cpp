// AVX2 with FMA, all in fp32: both products by one tile of 6 rows and 16 columns over panels [depth][16], which keys and values
// are packed as, keys turned. Scores of a block of queries lie row by row and stay in the second cache until the values are weighed.
#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/cpu/attention_kernels.h"

namespace facellm {
namespace {

#include "kernels/cpu/attention_common.h"
#include "kernels/cpu/avx2_common.h"

// Of a tile: 12 of 16 registers are sums, two the panel's line, one a number of x.
constexpr int kRows = 6;
constexpr int64_t kColumns = 16;
// Queries whose scores are kept at once, so that a panel of keys is read once for all of them.
constexpr int64_t kMostQueries = 4 * kRows;
// Beyond so many bytes of scores fewer are kept, down to one tile's.
constexpr int64_t kScoreBytes = 128 << 10;
// Keys whose values are weighed before the next panel's: 8 KB of them, read by every tile of queries.
constexpr int64_t kKeysAtOnce = 128;

int64_t panels_of(int64_t keys) { return (keys + kColumns - 1) / kColumns; }
// From one row of scores to the next: an odd number of cache lines, so that rows do not share places of the cache.
int64_t score_stride(int64_t keys) { return (panels_of(keys) | 1) * kColumns; }

int64_t queries_at_once(int64_t keys) {
  int64_t queries = kMostQueries;
  while (queries > kRows && queries * score_stride(keys) * 4 > kScoreBytes) queries /= 2;
  return queries;
}

// Keys [keys/16][D][16], filled up with zeros; values [D/16][keys][16].
int64_t packed_bytes(int64_t keys, int64_t head_dim) { return (panels_of(keys) * kColumns + keys) * head_dim * 4; }

// Of a block of queries: scores, then p; themselves in fp32; what they become, [queries][D].
int64_t work_bytes(int64_t keys, int64_t head_dim) { return queries_at_once(keys) * (score_stride(keys) + 2 * head_dim) * 4; }

// 8 numbers.
__m256 widened(const Bf16* from) {
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}

void pack(void* packed, const CpuAttention* h) {
  auto* const keys = static_cast<float*>(packed);
  for (int64_t first = 0; first < panels_of(h->keys) * kColumns; first += 8) {
    float* const panel = keys + first / kColumns * kColumns * h->head_dim + first % kColumns;
    for (int64_t d = 0; d < h->head_dim; d += 8) {
      __m256i rows[8];
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) {
        rows[i] = first + i < h->keys ? _mm256_castps_si256(widened(h->k + (first + i) * h->k_stride + d)) : _mm256_setzero_si256();
      }
      transpose(rows);
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) _mm256_storeu_si256(reinterpret_cast<__m256i*>(panel + (d + i) * kColumns), rows[i]);
    }
  }
  float* const values = keys + panels_of(h->keys) * kColumns * h->head_dim;
  for (int64_t n = 0; n < h->keys; ++n) {
    for (int64_t d = 0; d < h->head_dim; d += 8) {
      _mm256_storeu_ps(values + (d / kColumns * h->keys + n) * kColumns + d % kColumns, widened(h->v + n * h->v_stride + d));
    }
  }
}

// sums[r][0, 16) of `depth` lines of a panel times x[r][depth]: on top of what is there, or afresh.
template <int R>
__attribute__((noinline)) void add_tile(const float* panel, int64_t depth, const float* x, int64_t x_stride, float* sums,
                                        int64_t sums_stride, bool is_first) {
  __m256 low[R], high[R];
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) {
    low[r] = is_first ? _mm256_setzero_ps() : _mm256_loadu_ps(sums + r * sums_stride);
    high[r] = is_first ? _mm256_setzero_ps() : _mm256_loadu_ps(sums + r * sums_stride + 8);
  }
  // Two lines a turn: with one, what counts the turns fills the last places of a processor that starts four instructions a cycle.
#pragma GCC unroll 2
  for (int64_t i = 0; i < depth; ++i, panel += kColumns, ++x) {
    const __m256 own_low = _mm256_loadu_ps(panel), own_high = _mm256_loadu_ps(panel + 8);
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
      const __m256 value = _mm256_broadcast_ss(x + r * x_stride);
      low[r] = _mm256_fmadd_ps(own_low, value, low[r]);
      high[r] = _mm256_fmadd_ps(own_high, value, high[r]);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) {
    _mm256_storeu_ps(sums + r * sums_stride, low[r]);
    _mm256_storeu_ps(sums + r * sums_stride + 8, high[r]);
  }
}

using AddTile = void (*)(const float*, int64_t, const float*, int64_t, float*, int64_t, bool);
constexpr AddTile kAddTile[kRows + 1] = {nullptr, add_tile<1>, add_tile<2>, add_tile<3>, add_tile<4>, add_tile<5>, add_tile<6>};

// 2^t for t <= 0, to 2.6e-6 of it, and what is below 2^-125 as that: nothing in a sum that holds a 1. NaN stays NaN.
__m256 power_of_two(__m256 t) {
  t = _mm256_max_ps(_mm256_set1_ps(-125), t);
  const __m256 whole_part = _mm256_round_ps(t, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m256 r = _mm256_sub_ps(t, whole_part);
  __m256 value = _mm256_set1_ps(0.00957010191F);
  value = _mm256_fmadd_ps(value, r, _mm256_set1_ps(0.0559178603F));
  value = _mm256_fmadd_ps(value, r, _mm256_set1_ps(0.240247448F));
  value = _mm256_fmadd_ps(value, r, _mm256_set1_ps(0.693121815F));
  value = _mm256_fmadd_ps(value, r, _mm256_set1_ps(0.999999261F));
  // The exponent raised by it; a NaN's is a number without bits in that place.
  const __m256i exponent = _mm256_slli_epi32(_mm256_cvtps_epi32(whole_part), 23);
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(value), exponent));
}

// Rounded to bf16 and left in fp32. What becomes of a NaN is no matter: its row's sum is one.
__m256 rounded_in_place(__m256 p) {
  const __m256i bits = _mm256_castps_si256(p);
  const __m256i last = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i near = _mm256_add_epi32(bits, _mm256_add_epi32(last, _mm256_set1_epi32(0x7fff)));
  return _mm256_castsi256_ps(_mm256_and_si256(near, _mm256_set1_epi32(static_cast<int>(0xffff0000u))));
}

// The keys from `first` on that are there, of 8.
__m256 lanes_of(int64_t keys, int64_t first) {
  const __m256i left = _mm256_set1_epi32(static_cast<int>(keys - first));
  return _mm256_castsi256_ps(_mm256_cmpgt_epi32(left, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)));
}

float largest_of(__m256 lanes) {
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps(lanes, 1));
  four = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

float sum_of(__m256 lanes) {
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps(lanes, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

// p of row m in the place of its scores, zeros behind them up to `filled`. Returns their sum before rounding.
float weigh(const CpuAttention* h, int64_t m, float* scores, int64_t filled) {
  const int64_t keys = seen_by(h, m);
  const int64_t whole = keys / 8 * 8;
  const __m256 last = lanes_of(keys, whole), none = _mm256_set1_ps(-__builtin_inff());
  // Two of each, so that one does not wait for the other. There is always room for 8 more: rows are whole panels.
  __m256 largest = none, other = none;
  int64_t n = 0;
  for (; n + 16 <= whole; n += 16) {
    largest = _mm256_max_ps(largest, _mm256_loadu_ps(scores + n));
    other = _mm256_max_ps(other, _mm256_loadu_ps(scores + n + 8));
  }
  if (n < whole) largest = _mm256_max_ps(largest, _mm256_loadu_ps(scores + n));
  if (whole < keys) other = _mm256_max_ps(other, _mm256_blendv_ps(none, _mm256_loadu_ps(scores + whole), last));
  const __m256 factor = _mm256_set1_ps(h->scale * 1.44269504F);
  const __m256 shift = _mm256_mul_ps(_mm256_set1_ps(largest_of(_mm256_max_ps(largest, other))), factor);
  __m256 sum = _mm256_setzero_ps();
#pragma GCC unroll 2
  for (n = 0; n < whole; n += 8) {
    const __m256 p = power_of_two(_mm256_fmsub_ps(_mm256_loadu_ps(scores + n), factor, shift));
    sum = _mm256_add_ps(sum, p);
    _mm256_storeu_ps(scores + n, rounded_in_place(p));
  }
  if (whole < keys) {
    const __m256 p = power_of_two(_mm256_fmsub_ps(_mm256_loadu_ps(scores + whole), factor, shift));
    sum = _mm256_add_ps(sum, _mm256_and_ps(p, last));
    _mm256_storeu_ps(scores + whole, rounded_in_place(p));
  }
  for (n = keys; n < filled; ++n) scores[n] = 0;
  const float total = sum_of(sum);
  set_log_sum(h, m, _mm256_cvtss_f32(shift) * 0.693147182F, total);
  return total;
}

int64_t groups_of(int64_t rows) { return (rows + kRows - 1) / kRows; }
int64_t group_begin(int64_t rows, int64_t group) { return rows * group / groups_of(rows); }

// x [rows][depth] times a panel, tile by tile.
void add_panel(const float* panel, int64_t depth, const float* x, int64_t x_stride, int64_t rows, float* sums, int64_t sums_stride,
               bool is_first) {
  for (int64_t g = 0; g < groups_of(rows); ++g) {
    const int64_t first = group_begin(rows, g), count = group_begin(rows, g + 1) - first;
    kAddTile[count](panel, depth, x + first * x_stride, x_stride, sums + first * sums_stride, sums_stride, is_first);
  }
}

void attend(const CpuAttention* h, const void* packed, void* work, int64_t begin, int64_t end) {
  const int64_t dim = h->head_dim, stride = score_stride(h->keys), at_once = queries_at_once(h->keys);
  auto* const scores = static_cast<float*>(work);
  float* const queries = scores + at_once * stride;
  float* const sums = queries + at_once * dim;
  const auto* const keys = static_cast<const float*>(packed);
  const float* const values = keys + panels_of(h->keys) * kColumns * dim;
  for (int64_t first = begin; first < end; first += at_once) {
    const int64_t rows = end - first < at_once ? end - first : at_once;
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t d = 0; d < dim; d += 8) _mm256_storeu_ps(queries + r * dim + d, widened(h->q + (first + r) * h->q_stride + d));
    }
    const int64_t seen = seen_by(h, first + rows - 1);
    for (int64_t b = 0; b < panels_of(seen); ++b) {
      add_panel(keys + b * dim * kColumns, dim, queries, dim, rows, scores + b * kColumns, stride, true);
    }
    float sum_of_p[kMostQueries];
    for (int64_t r = 0; r < rows; ++r) sum_of_p[r] = weigh(h, first + r, scores + r * stride, seen);
    for (int64_t n = 0; n < seen; n += kKeysAtOnce) {
      const int64_t depth = seen - n < kKeysAtOnce ? seen - n : kKeysAtOnce;
      for (int64_t d = 0; d < dim; d += kColumns) {
        add_panel(values + d * h->keys + n * kColumns, depth, scores + n, stride, rows, sums + d, dim, n == 0);
      }
    }
    for (int64_t r = 0; r < rows; ++r) {
      const __m256 by = _mm256_set1_ps(sum_of_p[r]);
      for (int64_t d = 0; d < dim; d += 16) {
        const __m256i low = rounded(_mm256_div_ps(_mm256_loadu_ps(sums + r * dim + d), by));
        const __m256i high = rounded(_mm256_div_ps(_mm256_loadu_ps(sums + r * dim + d + 8), by));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(h->out + (first + r) * h->out_stride + d),
                            _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8));
      }
    }
  }
}

}  // namespace

const AttentionKernels kAvx2Attention{"avx2", packed_bytes, pack, work_bytes, attend};

}  // namespace facellm
#endif
