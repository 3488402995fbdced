// AVX-512 with BF16: both products by the lines of avx512_common.h. Keys are packed as weights are, [keys/32][D/2][32][2]; values
// by pairs of keys, [D/32][keys/2][32][2]; both filled up to 32 keys with zeros.
#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/cpu/attention_kernels.h"

namespace facellm {
namespace {

#include "kernels/cpu/attention_common.h"
#include "kernels/cpu/avx512_common.h"

int64_t whole(int64_t keys) { return (keys + 31) / 32 * 32; }

int64_t packed_bytes(int64_t keys, int64_t head_dim) { return 2 * whole(keys) * head_dim * 2; }

void pack_head(void* packed, const CpuAttention* h) {
  auto* const keys = static_cast<Bf16*>(packed);
  pack(keys, h->k, h->k_stride, h->keys, h->head_dim, 0, whole(h->keys) / 32);
  Bf16* to = keys + whole(h->keys) * h->head_dim;
  alignas(64) uint16_t order[32];
  for (int i = 0; i < 32; ++i) order[i] = static_cast<uint16_t>(i / 2 + i % 2 * 32);
  const __m512i low = _mm512_load_si512(order), high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
  for (int64_t d = 0; d < h->head_dim; d += 32) {
    for (int64_t n = 0; n < whole(h->keys); n += 2, to += 64) {
      const auto row = [&](int64_t at) {
        return at < h->keys ? _mm512_loadu_si512(h->v + at * h->v_stride + d) : _mm512_setzero_si512();
      };
      const __m512i first = row(n), second = row(n + 1);
      _mm512_storeu_si512(to, _mm512_permutex2var_epi16(first, low, second));
      _mm512_storeu_si512(to + 32, _mm512_permutex2var_epi16(first, high, second));
    }
  }
}

// Of kRows rows: scores [keys/32][kRows][32] fp32, p [kRows][keys] bf16, sums [kRows][32] fp32.
int64_t work_bytes(int64_t keys, int64_t) { return kRows * (whole(keys) * (4 + 2) + 32 * 4); }

// 2^t for t <= 0, to 2.6e-6 of it, and what is below 2^-126 as that: nothing in a sum that holds a 1. NaN stays NaN.
__m512 power_of_two(__m512 t) {
  t = _mm512_max_ps(_mm512_set1_ps(-126), t);
  const __m512 whole_part = _mm512_roundscale_ps(t, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 r = _mm512_sub_ps(t, whole_part);
  __m512 value = _mm512_set1_ps(0.00957010191F);
  value = _mm512_fmadd_ps(value, r, _mm512_set1_ps(0.0559178603F));
  value = _mm512_fmadd_ps(value, r, _mm512_set1_ps(0.240247448F));
  value = _mm512_fmadd_ps(value, r, _mm512_set1_ps(0.693121815F));
  value = _mm512_fmadd_ps(value, r, _mm512_set1_ps(0.999999261F));
  return _mm512_scalef_ps(value, whole_part);
}

// p of row m from its scores, `step` numbers from one block of 32 to the next, zeros behind them up to `filled`. Returns
// their sum before rounding.
float weigh(const CpuAttention* h, int64_t m, const float* scores, int64_t step, int64_t filled, Bf16* p) {
  const int64_t keys = seen_by(h, m);
  const int64_t blocks = whole(keys) / 32;
  // Of the last block: keys that are there.
  const int64_t left = keys - (blocks - 1) * 32;
  const auto mask = static_cast<__mmask32>(left == 32 ? ~__mmask32{0} : (__mmask32{1} << left) - 1);
  const auto low_mask = static_cast<__mmask16>(mask), high_mask = static_cast<__mmask16>(mask >> 16);
  const __m512 none = _mm512_set1_ps(-__builtin_inff());
  __m512 largest = none;
  for (int64_t b = 0; b < blocks; ++b) {
    const bool is_last = b + 1 == blocks;
    const __m512 low = _mm512_loadu_ps(scores + b * step), high = _mm512_loadu_ps(scores + b * step + 16);
    largest = _mm512_max_ps(largest, is_last ? _mm512_mask_mov_ps(none, low_mask, low) : low);
    largest = _mm512_max_ps(largest, is_last ? _mm512_mask_mov_ps(none, high_mask, high) : high);
  }
  const __m512 factor = _mm512_set1_ps(h->scale * 1.44269504F);
  const __m512 shift = _mm512_mul_ps(_mm512_set1_ps(_mm512_reduce_max_ps(largest)), factor);
  __m512 sum = _mm512_setzero_ps();
  for (int64_t b = 0; b < blocks; ++b) {
    __m512 low = power_of_two(_mm512_fmsub_ps(_mm512_loadu_ps(scores + b * step), factor, shift));
    __m512 high = power_of_two(_mm512_fmsub_ps(_mm512_loadu_ps(scores + b * step + 16), factor, shift));
    if (b + 1 == blocks) {
      low = _mm512_maskz_mov_ps(low_mask, low);
      high = _mm512_maskz_mov_ps(high_mask, high);
    }
    sum = _mm512_add_ps(sum, _mm512_add_ps(low, high));
    _mm512_storeu_si512(p + b * 32, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low)));
  }
  for (int64_t n = blocks * 32; n < filled; n += 32) _mm512_storeu_si512(p + n, _mm512_setzero_si512());
  const float total = _mm512_reduce_add_ps(sum);
  set_log_sum(h, m, _mm512_cvtss_f32(shift) * 0.693147182F, total);
  return total;
}

void attend(const CpuAttention* h, const void* packed, void* work, int64_t begin, int64_t end) {
  const int64_t keys = whole(h->keys), dim = h->head_dim, rows = end - begin;
  auto* const scores = static_cast<float*>(work);
  float* const sums = scores + kRows * keys;
  auto* const p = reinterpret_cast<Bf16*>(sums + kRows * 32);
  const auto* const k = static_cast<const Bf16*>(packed);
  const Bf16* const v = k + keys * dim;
  for (int64_t g = 0; g < groups_of(rows); ++g) {
    const int64_t first = begin + group_begin(rows, g), count = begin + group_begin(rows, g + 1) - first;
    const AddLines add = kAddLines[count];
    // The last of them sees the most.
    const int64_t most = seen_by(h, first + count - 1), seen = whole(most);
    for (int64_t b = 0; b < seen / 32; ++b) {
      const Bf16* const w = k + b * dim * 32;
      add(w, dim / 2, h->q + first * h->q_stride, 2, h->q_stride, {reinterpret_cast<const char*>(w + dim * 32), 128},
          scores + b * count * 32, true);
    }
    float inverse[kRows];
    for (int64_t r = 0; r < count; ++r) {
      inverse[r] = 1 / weigh(h, first + r, scores + r * 32, count * 32, seen, p + r * keys);
    }
    for (int64_t d = 0; d < dim; d += 32) {
      const Bf16* const w = v + d * keys;
      add(w, (most + 1) / 2, p, 2, keys, {reinterpret_cast<const char*>(w) + 512, 128}, sums, true);
      for (int64_t r = 0; r < count; ++r) {
        const __m512 by = _mm512_set1_ps(inverse[r]);
        const __m512 low = _mm512_mul_ps(_mm512_loadu_ps(sums + r * 32), by);
        const __m512 high = _mm512_mul_ps(_mm512_loadu_ps(sums + r * 32 + 16), by);
        _mm512_storeu_si512(h->out + (first + r) * h->out_stride + d,
                            reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low)));
      }
    }
  }
}

}  // namespace

const AttentionKernels kAvx512Attention{"avx512", packed_bytes, pack_head, work_bytes, attend};

}  // namespace facellm
#endif
