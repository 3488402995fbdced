// What the units of quantised products do alike, included by each into a namespace without a name, so that nothing is
// shared: scales and codes of weights, and codes of x. The order of every sum is written down, 16 lanes wide, and products are not
// contracted with additions (-ffp-contract=off): the same bits on every level.

using Lanes = float __attribute__((vector_size(64)));

constexpr int64_t kBlock = 32;          // rows
constexpr float kMostOfX = 8191, kMostOfInt8 = 127;
// Below, values are taken for zero: their inverse would be infinite.
constexpr float kLeast = 0x1p-100f;
// In front of a row of x: its scale.
constexpr int64_t kHead = 64;

#include "kernels/cpu/bf16_bits.h"

// To nearest, ties to even, for |value| below 2^22.
float nearest(float value) { return (value + 0x1.8p23f) - 0x1.8p23f; }

float widened_half(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16, rest = half & 0x7fff;
  // As if its exponent were fp32's, then set right: exact for denormals too.
  return float_of(bits_of(float_of(rest << 13) * 0x1p112f) | sign);
}

// Of a finite value below 65520, to nearest, ties to even.
uint16_t rounded_half(float value) {
  const uint32_t sign = bits_of(value) & 0x80000000, magnitude = bits_of(value) ^ sign;
  uint32_t half;
  if (magnitude < 0x38800000) {
    half = bits_of(float_of(magnitude) + 0.5f) - 0x3f000000;  // 2^-24 a step
  } else {
    half = (magnitude + 0xfff + ((magnitude >> 13) & 1) - 0x38000000) >> 13;
  }
  return static_cast<uint16_t>(half | sign >> 16);
}

int64_t whole(int64_t inner, int64_t group) { return (inner + group - 1) / group * group; }

// The largest magnitude of `count` values; NaN is larger than all.
float largest(const float* values, int64_t count) {
  uint32_t most = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t magnitude = bits_of(values[i]) & 0x7fffffff;
    most = most > magnitude ? most : magnitude;
  }
  return float_of(most);
}

void pack_int8(uint8_t* packed, const float* rows, int64_t stride, int64_t weight_rows, int64_t inner, int64_t,
               int64_t begin, int64_t end) {
  for (int64_t block = begin; block < end; ++block, rows += kBlock * stride) {
    uint8_t* const to = packed + block * int8_block_bytes(inner);
    for (int64_t r = 0; r < kBlock; ++r) {
      const bool is_there = block * kBlock + r < weight_rows;
      const float* const row = rows + (is_there ? r : 0) * stride;
      const float most = is_there ? largest(row, inner) : 0;
      const bool is_zero = !(most >= kLeast);
      const float scale = is_zero ? 0 : most / kMostOfInt8, inverse = is_zero ? 0 : kMostOfInt8 / most;
      int32_t sum = 0;
      for (int64_t k = 0; k < inner; k += 4) {
        int8_t codes[4] = {};
        const int64_t count = inner - k < 4 ? inner - k : 4;
        for (int64_t j = 0; j < count; ++j) {
          codes[j] = static_cast<int8_t>(is_zero ? 0 : nearest(row[k + j] * inverse));
          sum += codes[j];
        }
        __builtin_memcpy(to + 256 + k * 32 + r * 4, codes, 4);
      }
      __builtin_memcpy(to + r * 4, &scale, 4);
      __builtin_memcpy(to + 128 + r * 4, &sum, 4);
    }
  }
}

void unpack_int8(float* rows, int64_t stride, const uint8_t* packed, int64_t weight_rows, int64_t inner, int64_t,
                 int64_t begin, int64_t end) {
  for (int64_t n = begin * kBlock; n < end * kBlock && n < weight_rows; ++n) {
    const uint8_t* const from = packed + n / kBlock * int8_block_bytes(inner);
    const int64_t r = n % kBlock;
    float scale;
    __builtin_memcpy(&scale, from + r * 4, 4);
    float* const to = rows + (n - begin * kBlock) * stride;
    for (int64_t k = 0; k < inner; k += 4) {
      int8_t codes[4];
      __builtin_memcpy(codes, from + 256 + k * 32 + r * 4, 4);
      for (int64_t j = 0; j < 4 && k + j < inner; ++j) to[k + j] = scale * static_cast<float>(codes[j]);
    }
  }
}

float sum_of(const Lanes& lanes) {
  Lanes v = lanes;
  typedef int32_t Order __attribute__((vector_size(64)));
  v += __builtin_shuffle(v, Order{8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15});
  v += __builtin_shuffle(v, Order{4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7});
  v += __builtin_shuffle(v, Order{2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3});
  return v[0] + v[1];
}

// Values w as they are and their codes.
void int4_codes(const float* values, float inverse, Lanes* w, Lanes* codes) {
  __builtin_memcpy(w, values, sizeof *w);
  Lanes q = (*w * inverse + 0x1.8p23f) - 0x1.8p23f;
  q = q < -8.0f ? Lanes{} - 8.0f : q;
  *codes = q > 7.0f ? Lanes{} + 7.0f : q;
}

struct Fit {
  float scale;  // of fp16
  float error;  // sum of squares
};

// Of `count` values (a multiple of 16) at fp16's value next to `wanted`.
Fit fit_int4(const float* values, int64_t count, float wanted) {
  const float scale = widened_half(rounded_half(wanted)), inverse = scale == 0 ? 0 : 1 / scale;
  Lanes w, q, errors{};
  for (int64_t i = 0; i < count; i += 16) {
    int4_codes(values + i, inverse, &w, &q);
    const Lanes lost = w - q * scale;
    errors += lost * lost;
  }
  return {scale, sum_of(errors)};
}

// The scale that is best for the codes of this one.
float slope_of_int4(const float* values, int64_t count, float scale) {
  const float inverse = scale == 0 ? 0 : 1 / scale;
  Lanes w, q, products{}, squares{};
  for (int64_t i = 0; i < count; i += 16) {
    int4_codes(values + i, inverse, &w, &q);
    products += w * q;
    squares += q * q;
  }
  const float square = sum_of(squares);
  return square > 0 ? sum_of(products) / square : scale;
}

// The scale of least error: from the one that just holds the largest value on -8 or on 7 down to 0.7 of it, then twice the
// best one for the codes that the last one gave.
float best_int4_scale(const float* values, int64_t count) {
  float most = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (float_of(bits_of(values[i]) & 0x7fffffff) > float_of(bits_of(most) & 0x7fffffff)) most = values[i];
  }
  Fit best = fit_int4(values, count, -most / 8);
  const auto try_next = [&](float wanted) {
    const Fit fit = fit_int4(values, count, wanted);
    if (fit.error < best.error) best = fit;
  };
  for (int step = 0; step < 20; ++step) {
    const float part = 1 - static_cast<float>(step) * (0.3f / 19);
    try_next(-most / 8 * part);
    try_next(most / 7 * part);
  }
  for (int again = 0; again < 2; ++again) try_next(slope_of_int4(values, count, best.scale));
  return best.scale;
}

void pack_int4(uint8_t* packed, const float* rows, int64_t stride, int64_t weight_rows, int64_t inner, int64_t group,
               int64_t begin, int64_t end) {
  for (int64_t block = begin; block < end; ++block, rows += kBlock * stride) {
    uint8_t* to = packed + block * int4_block_bytes(inner, group);
    for (int64_t k = 0; k < inner; k += group, to += 64 + group * 16) {
      for (int64_t r = 0; r < kBlock; ++r) {
        float values[128] = {};
        const int64_t count = inner - k < group ? inner - k : group;
        if (block * kBlock + r < weight_rows) __builtin_memcpy(values, rows + r * stride + k, static_cast<std::size_t>(count) * 4);
        const float scale = best_int4_scale(values, group);
        const uint16_t half = rounded_half(scale);
        __builtin_memcpy(to + r * 2, &half, 2);
        const float inverse = scale == 0 ? 0 : 1 / scale;
        for (int64_t i = 0; i < group; i += 8) {
          for (int64_t j = 0; j < 8; ++j) {
            float q = nearest(values[i + j] * inverse);
            q = q < -8 ? -8 : q > 7 ? 7 : q;
            values[i + j] = q + 8;
          }
          for (int64_t j = 0; j < 4; ++j) {
            to[64 + i * 16 + r * 4 + j] = static_cast<uint8_t>(static_cast<int>(values[i + j]) |
                                                              static_cast<int>(values[i + j + 4]) << 4);
          }
        }
      }
    }
  }
}

void unpack_int4(float* rows, int64_t stride, const uint8_t* packed, int64_t weight_rows, int64_t inner, int64_t group,
                 int64_t begin, int64_t end) {
  for (int64_t n = begin * kBlock; n < end * kBlock && n < weight_rows; ++n) {
    const uint8_t* record = packed + n / kBlock * int4_block_bytes(inner, group);
    const int64_t r = n % kBlock;
    float* const to = rows + (n - begin * kBlock) * stride;
    for (int64_t k = 0; k < inner; k += group, record += 64 + group * 16) {
      uint16_t half;
      __builtin_memcpy(&half, record + r * 2, 2);
      const float scale = widened_half(half);
      for (int64_t i = 0; i < group && k + i < inner; i += 8) {
        for (int64_t j = 0; j < 8 && k + i + j < inner; ++j) {
          const int both = record[64 + i * 16 + r * 4 + j % 4];
          to[k + i + j] = scale * static_cast<float>((j < 4 ? both & 15 : both >> 4) - 8);
        }
      }
    }
  }
}

// Of row `row` of x: the largest magnitude, NaN being larger than all.
float largest_of_x(const QuantisedProduct* p, int64_t row) {
  if (p->is_wide) return largest(static_cast<const float*>(p->x) + row * p->x_stride, p->inner);
  const auto* const x = static_cast<const uint16_t*>(p->x) + row * p->x_stride;
  uint16_t most = 0;
  for (int64_t k = 0; k < p->inner; ++k) {
    const auto magnitude = static_cast<uint16_t>(x[k] & 0x7fff);
    most = most > magnitude ? most : magnitude;
  }
  return widened_bf16(most);
}

struct XScale {
  float scale, inverse;
};

// Where a value is not finite the row's scale is NaN, and with it all that the row gives.
XScale scale_of_x(const QuantisedProduct* p, int64_t row) {
  const float most = largest_of_x(p, row);
  if (!(most < float_of(0x7f800000))) return {float_of(0x7fc00000), 0};
  if (most < kLeast) return {0, 0};
  return {most / kMostOfX, kMostOfX / most};
}

// Bytes of an arranged row: its scale, two bytes a column, int4's sums of groups; an odd number of lines, so that rows do
// not share places of the cache.
int64_t arranged_row_bytes(int64_t columns, int64_t groups) {
  return (kHead + 2 * columns + 4 * groups + 127) / 128 * 128 + 64;
}
int64_t int8_row_bytes(int64_t inner) { return arranged_row_bytes(whole(inner, 4), 0); }
int64_t int4_row_bytes(int64_t inner, int64_t group) {
  return arranged_row_bytes(whole(inner, group), whole(inner, group) / group);
}
int64_t int8_arranged_bytes(int64_t rows, int64_t inner, int64_t) { return rows * int8_row_bytes(inner); }
int64_t int4_arranged_bytes(int64_t rows, int64_t inner, int64_t group) { return rows * int4_row_bytes(inner, group); }
