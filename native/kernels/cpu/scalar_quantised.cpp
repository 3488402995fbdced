// The reference of quantised products: what each unit does, bit for bit.
#include "kernels/cpu/quantised_kernels.h"

namespace facellm {
namespace {

#include "kernels/cpu/quantised_common.h"
#include "kernels/cpu/float_codes_common.h"

float x_at(const QuantisedProduct* p, int64_t row, int64_t k) {
  const int64_t at = row * p->x_stride + k;
  return p->is_wide ? static_cast<const float*>(p->x)[at] : widened_bf16(static_cast<const uint16_t*>(p->x)[at]);
}

// Each row: its scale, then codes int16.
void arrange_rows(const QuantisedProduct* p, int64_t columns, int64_t row_bytes, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    auto* const to = static_cast<uint8_t*>(p->arranged) + row * row_bytes;
    const XScale x = scale_of_x(p, row);
    __builtin_memcpy(to, &x.scale, 4);
    for (int64_t k = 0; k < columns; ++k) {
      const bool is_zero = k >= p->inner || x.inverse == 0;
      const auto code = static_cast<int16_t>(is_zero ? 0 : nearest(x_at(p, row, k) * x.inverse));
      __builtin_memcpy(to + kHead + 2 * k, &code, 2);
    }
  }
}

void arrange_int8(const QuantisedProduct* p, int64_t begin, int64_t end) {
  arrange_rows(p, whole(p->inner, 4), int8_row_bytes(p->inner), begin, end);
}

void arrange_int4(const QuantisedProduct* p, int64_t begin, int64_t end) {
  arrange_rows(p, whole(p->inner, p->group), int4_row_bytes(p->inner, p->group), begin, end);
}

// sum: of everything but scale of x and bias.
void finish(const QuantisedProduct* p, int64_t row, int64_t n, float sum, float scale) {
  sum *= scale;
  const int64_t at = row * p->out_stride + n;
  if (p->is_wide) {
    if (p->bias != nullptr) sum += static_cast<const float*>(p->bias)[n];
    static_cast<float*>(p->out)[at] = sum;
  } else {
    if (p->bias != nullptr) sum += widened_bf16(static_cast<const uint16_t*>(p->bias)[n]);
    static_cast<uint16_t*>(p->out)[at] = rounded_bf16(sum);
  }
}

int code_at(const uint8_t* row, int64_t k) {
  int16_t code;
  __builtin_memcpy(&code, row + kHead + 2 * k, 2);
  return code;
}

float float_at(const uint8_t* from) {
  float value;
  __builtin_memcpy(&value, from, 4);
  return value;
}

void multiply_int8(const QuantisedProduct* p, int64_t begin, int64_t end) {
  for (int64_t m = 0; m < p->rows; ++m) {
    const auto* const x = static_cast<const uint8_t*>(p->arranged) + m * int8_row_bytes(p->inner);
    for (int64_t n = begin * kBlock; n < end * kBlock && n < p->weight_rows; ++n) {
      const uint8_t* const w = p->weight + n / kBlock * int8_block_bytes(p->inner);
      int64_t sum = 0;
      for (int64_t k = 0; k < p->inner; ++k) {
        sum += static_cast<int8_t>(w[256 + k / 4 * 128 + n % kBlock * 4 + k % 4]) * code_at(x, k);
      }
      finish(p, m, n, static_cast<float>(sum) * float_at(w + n % kBlock * 4), float_at(x));
    }
  }
}

void multiply_int4(const QuantisedProduct* p, int64_t begin, int64_t end) {
  for (int64_t m = 0; m < p->rows; ++m) {
    const auto* const x = static_cast<const uint8_t*>(p->arranged) + m * int4_row_bytes(p->inner, p->group);
    for (int64_t n = begin * kBlock; n < end * kBlock && n < p->weight_rows; ++n) {
      const uint8_t* record = p->weight + n / kBlock * int4_block_bytes(p->inner, p->group);
      float sum = 0;
      for (int64_t k = 0; k < p->inner; k += p->group, record += 64 + p->group * 16) {
        int32_t own = 0;
        for (int64_t i = 0; i < p->group; ++i) {
          const int both = record[64 + i / 8 * 128 + n % kBlock * 4 + i % 4];
          own += ((i % 8 < 4 ? both & 15 : both >> 4) - 8) * code_at(x, k + i);
        }
        uint16_t half;
        __builtin_memcpy(&half, record + n % kBlock * 2, 2);
        sum = __builtin_fmaf(static_cast<float>(own), widened_half(half), sum);
      }
      finish(p, m, n, sum, float_at(x));
    }
  }
}

}  // namespace

const QuantisedKernels kScalarQuantised{
    "scalar",
    {4, pack_int8, unpack_int8, int8_arranged_bytes, arrange_int8, multiply_int8},
    {4, pack_int4, unpack_int4, int4_arranged_bytes, arrange_int4, multiply_int4},
    {0, pack_fp8, unpack_fp8, nullptr, nullptr, nullptr, expand_fp8},
    {0, pack_nf4, unpack_nf4, nullptr, nullptr, nullptr, expand_nf4}};

}  // namespace facellm
