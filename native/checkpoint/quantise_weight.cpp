#include "checkpoint/quantise_weight.h"

#include <algorithm>
#include <cmath>

#include "checkpoint/for_rows.h"

namespace facellm {
namespace {

constexpr float kMostOfInt8 = 127, kMostOfFp8 = 448;
constexpr int kSteps = 20;         // of the search
constexpr float kNarrowest = 0.7f;  // of the widest scale

bool is_int4(const Quantisation& form) { return form.format == "pack-quantized"; }
bool is_fp8(const Quantisation& form) { return form.format == "float-quantized"; }

int64_t columns_of(const Quantisation& form, int64_t inner) { return form.group == 0 ? inner : form.group; }

// To nearest, ties to even, within -8..7; a group of zeros has codes of 0.
float int4_code(float value, float inverse) { return std::clamp(std::nearbyint(value * inverse), -8.0f, 7.0f); }

struct Fit {
  float error, slope;
};

Fit fit_int4(const float* values, int64_t count, float scale) {
  const float inverse = scale > 0 ? 1 / scale : 0;
  float error = 0, products = 0, squares = 0;
  for (int64_t i = 0; i < count; ++i) {
    const float code = int4_code(values[i], inverse), lost = values[i] - code * scale;
    error += lost * lost;
    products += values[i] * code;
    squares += code * code;
  }
  return {error, squares > 0 ? products / squares : scale};
}

template <typename Round>
float int4_scale(const float* values, int64_t count, const Round& round) {
  float high = 0, low = 0;
  for (int64_t i = 0; i < count; ++i) {
    high = std::max(high, values[i]);
    low = std::max(low, -values[i]);
  }
  const float widest = std::max(high / 7, low / 8);
  float best = round(widest);
  Fit fit = fit_int4(values, count, best);
  const auto try_scale = [&](float wanted) {
    const float scale = round(wanted);
    const Fit own = fit_int4(values, count, scale);
    if (!(own.error < fit.error)) return;
    fit = own;
    best = scale;
  };
  for (int step = 1; step < kSteps; ++step) try_scale(widest * (1 - static_cast<float>(step) * ((1 - kNarrowest) / (kSteps - 1))));
  try_scale(fit.slope);
  try_scale(fit.slope);
  return best;
}

// As files of this dtype hold it.
float rounded(float value, at::ScalarType dtype) {
  switch (dtype) {
    case at::kBFloat16: return static_cast<float>(c10::BFloat16(value));
    case at::kHalf: return static_cast<float>(c10::Half(value));
    default: return value;
  }
}

}  // namespace

bool is_written(const Quantisation& form) {
  if (is_int4(form)) return form.bits == 4 && form.group > 0;
  return form.bits == 8 && form.group == 0 && (form.format == "int-quantized" || is_fp8(form));
}

std::vector<QuantisedPart> quantised_parts(const Quantisation& form, int64_t rows, int64_t inner, at::ScalarType scale_dtype) {
  const int64_t columns = columns_of(form, inner), groups = (inner + columns - 1) / columns;
  const QuantisedPart scales{".weight_scale", scale_dtype, {rows, groups}};
  if (is_int4(form)) {
    return {{".weight_packed", at::kInt, {rows, (inner + 7) / 8}}, scales, {".weight_shape", at::kLong, {2}}};
  }
  return {{".weight", is_fp8(form) ? at::kFloat8_e4m3fn : at::kChar, {rows, inner}}, scales};
}

at::Tensor quantised_scales(const Quantisation& form, const at::Tensor& weight, at::ScalarType dtype) {
  const auto values = weight.to(at::kFloat).contiguous();
  const int64_t rows = values.size(0), inner = values.size(1), columns = columns_of(form, inner);
  const int64_t groups = (inner + columns - 1) / columns;
  const auto scales = at::empty({rows, groups}, at::kFloat);
  const auto* const from = values.const_data_ptr<float>();
  auto* const to = scales.mutable_data_ptr<float>();
  const auto round = [&](float value) { return rounded(value, dtype); };
  for_rows(rows, [&](int64_t n) {
    for (int64_t g = 0; g < groups; ++g) {
      const float* const own = from + n * inner + g * columns;
      const int64_t count = std::min(columns, inner - g * columns);
      float most = 0;
      for (int64_t i = 0; i < count; ++i) most = std::max(most, std::abs(own[i]));
      to[n * groups + g] = is_int4(form) ? int4_scale(own, count, round) : round(most / (is_fp8(form) ? kMostOfFp8 : kMostOfInt8));
    }
  });
  return scales.to(dtype);
}

at::Tensor quantised_codes(const Quantisation& form, const at::Tensor& weight, const at::Tensor& scales) {
  const auto values = weight.to(at::kFloat).contiguous();
  const auto wide = scales.to(at::kFloat).contiguous();
  const int64_t rows = values.size(0), inner = values.size(1), columns = columns_of(form, inner), groups = wide.size(1);
  const auto* const from = values.const_data_ptr<float>();
  const auto* const scale = wide.const_data_ptr<float>();
  const auto inverse = [&](int64_t n, int64_t k) {
    const float own = scale[n * groups + k / columns];
    return own > 0 ? 1 / own : 0;
  };
  const auto codes = at::zeros({rows, is_int4(form) ? (inner + 7) / 8 : inner},
                               is_int4(form) ? at::kInt : is_fp8(form) ? at::kFloat8_e4m3fn : at::kChar);
  if (is_int4(form)) {
    auto* const words = reinterpret_cast<uint32_t*>(codes.mutable_data_ptr<int32_t>());
    for_rows(rows, [&](int64_t n) {
      for (int64_t k = 0; k < inner; ++k) {
        const int code = static_cast<int>(int4_code(from[n * inner + k], inverse(n, k))) + 8;
        words[n * codes.size(1) + k / 8] |= static_cast<uint32_t>(code) << (4 * (k % 8));
      }
    });
  } else if (is_fp8(form)) {
    auto* const to = codes.mutable_data_ptr<c10::Float8_e4m3fn>();
    for_rows(rows, [&](int64_t n) {
      for (int64_t k = 0; k < inner; ++k) {
        to[n * inner + k] = c10::Float8_e4m3fn(std::clamp(from[n * inner + k] * inverse(n, k), -kMostOfFp8, kMostOfFp8));
      }
    });
  } else {
    auto* const to = codes.mutable_data_ptr<int8_t>();
    for_rows(rows, [&](int64_t n) {
      for (int64_t k = 0; k < inner; ++k) {
        // The scale may have been rounded down: 127 is the most all the same.
        to[n * inner + k] = static_cast<int8_t>(std::clamp(std::nearbyint(from[n * inner + k] * inverse(n, k)), -kMostOfInt8, kMostOfInt8));
      }
    });
  }
  return codes;
}

}  // namespace facellm
