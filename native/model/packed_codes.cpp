#include "model/packed_codes.h"

#include <c10/util/Half.h>

#include <cstring>

#include "core/nf4_values.h"

namespace facellm {
namespace {

void put_int8(std::byte* block, int64_t r, const int8_t* codes, float scale, int64_t inner) {
  int32_t sum = 0;
  std::byte* const to = block + 256 + r * 4;
  for (int64_t k = 0; k < inner; k += 4) {
    int8_t four[4] = {};
    for (int64_t j = 0; j < 4 && k + j < inner; ++j) sum += four[j] = codes[k + j];
    std::memcpy(to + k * 32, four, 4);
  }
  std::memcpy(block + r * 4, &scale, 4);
  std::memcpy(block + 128 + r * 4, &sum, 4);
}

void put_int4(std::byte* record, int64_t r, const int8_t* codes, const float* scales, int64_t inner, int64_t group) {
  for (int64_t k = 0; k < inner; k += group, ++scales, record += 64 + group * 16) {
    const c10::Half half(*scales);
    std::memcpy(record + r * 2, &half.x, 2);
    for (int64_t i = 0; i < group; ++i) {
      const int code = (k + i < inner ? codes[k + i] : 0) + 8;
      auto& both = record[64 + i / 8 * 128 + r * 4 + i % 4];
      both = i % 8 < 4 ? static_cast<std::byte>(code) : both | static_cast<std::byte>(code << 4);
    }
  }
}

void put_fp8(std::byte* block, int64_t r, const uint8_t* codes, float scale, int64_t inner) {
  std::byte* const to = block + 128 + r * 4;
  for (int64_t k = 0; k < inner; k += 4) {
    uint8_t four[4] = {};
    for (int64_t j = 0; j < 4 && k + j < inner; ++j) four[j] = codes[k + j];
    std::memcpy(to + k * 32, four, 4);
  }
  std::memcpy(block + r * 4, &scale, 4);
}

void put_nf4(std::byte* record, int64_t r, const int8_t* codes, const float* magnitudes, int64_t inner) {
  for (int64_t k = 0; k < inner; k += kNf4Group, ++magnitudes, record += kNf4RecordBytes) {
    std::memcpy(record + r * 4, magnitudes, 4);
    for (int64_t i = 0; i < kNf4Group; ++i) {
      const int code = k + i < inner ? codes[k + i] : 7;  // 0
      auto& both = record[128 + i / 8 * 128 + r * 4 + i % 4];
      both = i % 8 < 4 ? static_cast<std::byte>(code) : both | static_cast<std::byte>(code << 4);
    }
  }
}

}  // namespace

bool holds_codes(const QuantisedWeight& weight, int64_t bits, WeightScheme scheme) {
  if (scheme.form == WeightForm::kNf4) return weight.is_nf4;
  if (weight.is_nf4 || weight.zeros.defined() || weight.group_of.defined()) return false;
  if (scheme.form == WeightForm::kFp8) return weight.codes.scalar_type() == at::kFloat8_e4m3fn && weight.group >= weight.inner();
  if (!weight.is_plain()) return false;
  if (scheme.form == WeightForm::kInt8) return weight.group >= weight.inner();
  return scheme.form == WeightForm::kInt4 && bits == 4 && weight.group == scheme.group;
}

void put_codes(std::byte* place, int64_t to, const QuantisedWeight& weight, int64_t row, WeightScheme scheme) {
  const int64_t inner = weight.inner(), groups = weight.scales.size(1);
  const auto* const codes = static_cast<const int8_t*>(weight.codes.const_data_ptr()) + row * inner;
  const auto* const scales = weight.scales.const_data_ptr<float>() + row * groups;
  if (scheme.form == WeightForm::kInt8) {
    put_int8(place + to / kBlockRows * int8_block_bytes(inner), to % kBlockRows, codes, *scales, inner);
  } else if (scheme.form == WeightForm::kFp8) {
    put_fp8(place + to / kBlockRows * fp8_block_bytes(inner), to % kBlockRows, reinterpret_cast<const uint8_t*>(codes), *scales, inner);
  } else if (scheme.form == WeightForm::kNf4) {
    put_nf4(place + to / kBlockRows * nf4_block_bytes(inner), to % kBlockRows, codes, scales, inner);
  } else {
    put_int4(place + to / kBlockRows * int4_block_bytes(inner, scheme.group), to % kBlockRows, codes, scales, inner, scheme.group);
  }
}

}  // namespace facellm
