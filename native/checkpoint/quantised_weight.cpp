#include "checkpoint/quantised_weight.h"

#include <algorithm>
#include <array>

#include "checkpoint/for_rows.h"
#include "checkpoint/nf4_weight.h"
#include "checkpoint/problem_list.h"
#include "core/error.h"
#include "core/nf4_values.h"

namespace facellm {
namespace {

using Entries = std::map<std::string, Checkpoint::Entry, std::less<>>;

// Nibble of column 8 c + j in word c of AutoAWQ's gemm form.
constexpr std::array<int, 8> kAwqNibble{0, 4, 1, 5, 2, 6, 3, 7};

bool is_awq(const Quantisation& form) { return form.format == "awq"; }
bool is_gptq(const Quantisation& form) { return form.format.starts_with("gptq"); }

int64_t divided_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Checks one tensor of a module, and remembers that it is of it.
class Inspector {
 public:
  Inspector(const Entries& entries, QuantisedTensors& tensors, std::vector<std::string>& problems)
      : entries_(entries), tensors_(tensors), problems_(problems) {}

  const Checkpoint::Entry* find(const char* suffix) const {
    const auto entry = entries_.find(tensors_.module + suffix);
    return entry == entries_.end() ? nullptr : &entry->second;
  }
  bool take(const char* suffix, std::initializer_list<at::ScalarType> dtypes, const std::vector<std::vector<int64_t>>& shapes) {
    const auto* entry = find(suffix);
    const std::string name = tensors_.module + suffix;
    if (entry == nullptr) {
      problems_.push_back("missing tensor " + name + ", which belongs to " + tensors_.names.front());
      return false;
    }
    tensors_.names.push_back(name);
    if (std::find(dtypes.begin(), dtypes.end(), entry->dtype) == dtypes.end()) {
      problems_.push_back(name + " has dtype " + c10::toString(entry->dtype) + ", expected " + c10::toString(*dtypes.begin()));
      return false;
    }
    if (std::find(shapes.begin(), shapes.end(), entry->shape) != shapes.end()) return true;
    problems_.push_back(name + " has shape " + shape_text(entry->shape) + ", expected " + shape_text(shapes.front()));
    return false;
  }

 private:
  const Entries& entries_;
  QuantisedTensors& tensors_;
  std::vector<std::string>& problems_;
};

constexpr std::initializer_list<at::ScalarType> kScales{at::kBFloat16, at::kHalf, at::kFloat};

void inspect_compressed(const Checkpoint& checkpoint, const Quantisation& form, Inspector& inspect, QuantisedTensors& tensors) {
  const bool is_packed = form.format == "pack-quantized";
  if (is_packed) {
    // Two numbers that are the shape: read here, since nothing else says how many columns the last word holds.
    if (!inspect.take(".weight_shape", {at::kLong, at::kInt}, {{2}})) return;
    const auto shape = checkpoint.view(tensors.module + ".weight_shape").to(at::kLong);
    tensors.rows = shape[0].item<int64_t>();
    tensors.inner = shape[1].item<int64_t>();
    if (tensors.rows < 1 || tensors.inner < 1) tensors.rows = tensors.inner = 0;
    inspect.take(".weight_packed", {at::kInt}, {{tensors.rows, divided_up(tensors.inner * form.bits, 32)}});
  } else {
    const auto& weight = *inspect.find(".weight");
    if (weight.shape.size() != 2) return;
    tensors.rows = weight.shape[0];
    tensors.inner = weight.shape[1];
  }
  const int64_t groups = form.group == 0 ? 1 : divided_up(tensors.inner, form.group);
  std::vector<std::vector<int64_t>> shapes{{tensors.rows, groups}};
  if (groups == 1) shapes.insert(shapes.end(), {{tensors.rows}, {1}, {}});
  inspect.take(".weight_scale", kScales, shapes);
  if (inspect.find(".weight_zero_point") != nullptr) {
    if (is_packed) {
      inspect.take(".weight_zero_point", {at::kInt}, {{divided_up(tensors.rows * form.bits, 32), groups}});
    } else {
      inspect.take(".weight_zero_point", {at::kChar}, shapes);
    }
  }
  if (inspect.find(".weight_g_idx") != nullptr) inspect.take(".weight_g_idx", {at::kInt}, {{tensors.inner}});
}

void inspect_columns(const Quantisation& form, Inspector& inspect, QuantisedTensors& tensors, std::vector<std::string>& problems) {
  const auto& packed = *inspect.find(".qweight");
  const int64_t fields = 32 / form.bits;
  if (packed.shape.size() == 2) {
    tensors.inner = packed.shape[0] * (is_awq(form) ? 1 : fields);
    tensors.rows = packed.shape[1] * (is_awq(form) ? fields : 1);
  }
  const int64_t group = form.group == 0 ? tensors.inner : form.group;
  const int64_t groups = group == 0 ? 0 : divided_up(tensors.inner, group);
  inspect.take(".qweight", {at::kInt}, {packed.shape});
  // Zero points are packed along rows, and no part of a word is left for the last ones.
  if (tensors.rows % fields != 0) {
    problems.push_back(tensors.module + ".qweight is of " + std::to_string(tensors.rows) + " rows, expected a multiple of " +
                       std::to_string(fields));
  }
  inspect.take(".qzeros", {at::kInt}, {{groups, tensors.rows / fields}});
  inspect.take(".scales", kScales, {{groups, tensors.rows}});
  if (is_gptq(form)) inspect.take(".g_idx", {at::kInt}, {{tensors.inner}});
}

// Field `index` of a row of words in plain order.
int field(const int32_t* words, int64_t index, int64_t bits) {
  const int64_t fields = 32 / bits;
  const auto word = static_cast<uint32_t>(words[index / fields]);
  return static_cast<int>(word >> (bits * (index % fields)) & ((1u << bits) - 1));
}

// A scale a row or a tensor: as one a row.
at::Tensor as_rows(const at::Tensor& stored, int64_t rows) {
  const auto scales = stored.to(at::kFloat);
  return scales.numel() == 1 ? scales.reshape({1, 1}).expand({rows, 1}).contiguous() : scales.reshape({rows, -1}).contiguous();
}

QuantisedWeight read_compressed(const Checkpoint& checkpoint, const Quantisation& form, const QuantisedTensors& tensors) {
  const int64_t rows = tensors.rows, inner = tensors.inner, bits = form.bits;
  const int offset = 1 << (bits - 1);
  QuantisedWeight weight;
  const auto name = [&](const char* suffix) { return tensors.module + suffix; };
  const auto has = [&](const char* suffix) { return checkpoint.entries().contains(name(suffix)); };
  const bool is_packed = form.format == "pack-quantized";
  weight.scales = as_rows(checkpoint.view(name(".weight_scale")), rows);
  if (is_packed) {
    const auto packed = checkpoint.view(name(".weight_packed"));
    weight.codes = at::empty({rows, inner}, at::kChar);
    auto* const codes = weight.codes.mutable_data_ptr<int8_t>();
    const auto* const words = packed.const_data_ptr<int32_t>();
    for_rows(rows, [&](int64_t n) {
      for (int64_t k = 0; k < inner; ++k) {
        codes[n * inner + k] = static_cast<int8_t>(field(words + n * packed.size(1), k, bits) - offset);
      }
    });
  } else {
    weight.codes = checkpoint.view(name(".weight"));
  }
  if (has(".weight_zero_point")) {
    const auto stored = checkpoint.view(name(".weight_zero_point"));
    const int64_t groups = weight.scales.size(1);
    if (is_packed) {
      // Packed along N: one column of words a group.
      weight.zeros = at::empty({rows, groups}, at::kChar);
      auto* const zeros = weight.zeros.mutable_data_ptr<int8_t>();
      const auto words = stored.t().contiguous();
      for (int64_t n = 0; n < rows; ++n) {
        for (int64_t g = 0; g < groups; ++g) {
          const int code = field(words.const_data_ptr<int32_t>() + g * words.size(1), n, bits);
          zeros[n * groups + g] = static_cast<int8_t>(code - offset);
        }
      }
    } else {
      weight.zeros = stored.numel() == 1 ? stored.reshape({1, 1}).expand({rows, 1}).contiguous() : stored.reshape({rows, -1}).contiguous();
    }
  }
  if (has(".weight_g_idx")) weight.group_of = checkpoint.view(name(".weight_g_idx"));
  return weight;
}

QuantisedWeight read_columns(const Checkpoint& checkpoint, const Quantisation& form, const QuantisedTensors& tensors) {
  const int64_t rows = tensors.rows, inner = tensors.inner, bits = form.bits, fields = 32 / bits;
  const int offset = 1 << (bits - 1);  // so that codes of 8 bits are int8 too; zero points are moved alike
  const auto packed = checkpoint.view(tensors.module + ".qweight");
  const auto zero_words = checkpoint.view(tensors.module + ".qzeros");
  QuantisedWeight weight;
  weight.codes = at::empty({rows, inner}, at::kChar);
  weight.scales = checkpoint.view(tensors.module + ".scales").to(at::kFloat).t().contiguous();
  const int64_t groups = weight.scales.size(1);
  weight.zeros = at::empty({rows, groups}, at::kChar);
  auto* const codes = weight.codes.mutable_data_ptr<int8_t>();
  auto* const zeros = weight.zeros.mutable_data_ptr<int8_t>();
  const auto* const words = packed.const_data_ptr<int32_t>();
  const auto* const zero_rows = zero_words.const_data_ptr<int32_t>();
  const int64_t zero_stride = zero_words.size(1);
  const auto code_of = [&](int64_t n, int64_t k) {
    if (is_gptq(form)) {
      const auto word = static_cast<uint32_t>(words[k / fields * rows + n]);
      return static_cast<int>(word >> (bits * (k % fields)) & ((1u << bits) - 1));
    }
    const auto word = static_cast<uint32_t>(words[k * (rows / 8) + n / 8]);
    return static_cast<int>(word >> (4 * kAwqNibble[n % 8]) & 15u);
  };
  // GPTQ's first form holds the zero point less 1.
  const int more = form.format == "gptq" ? 1 : 0;
  const auto zero_of = [&](int64_t n, int64_t g) {
    if (is_gptq(form)) return field(zero_rows + g * zero_stride, n, bits) + more;
    const auto word = static_cast<uint32_t>(zero_rows[g * zero_stride + n / 8]);
    return static_cast<int>(word >> (4 * kAwqNibble[n % 8]) & 15u);
  };
  bool is_symmetric = true;
  for (int64_t n = 0; n < rows; ++n) {
    for (int64_t g = 0; g < groups; ++g) {
      const int zero = zero_of(n, g) - offset;
      if (zero > 127) {
        throw Error(ErrorCode::kCheckpointInvalid, tensors.module + ".qzeros holds a zero point of " +
                                                       std::to_string(zero + offset) + ", which 8 bits do not reach; fetch the checkpoint again");
      }
      is_symmetric = is_symmetric && zero == 0;
      zeros[n * groups + g] = static_cast<int8_t>(zero);
    }
  }
  for_rows(rows, [&](int64_t n) {
    for (int64_t k = 0; k < inner; ++k) codes[n * inner + k] = static_cast<int8_t>(code_of(n, k) - offset);
  });
  if (is_symmetric) weight.zeros = at::Tensor();
  if (is_gptq(form)) weight.group_of = checkpoint.view(tensors.module + ".g_idx");
  return weight;
}

// Indices that say no more than the column's place are dropped; others are checked.
void settle_groups(QuantisedWeight& weight, const std::string& module) {
  if (!weight.group_of.defined()) return;
  const auto* const index = weight.group_of.const_data_ptr<int32_t>();
  const int64_t groups = weight.scales.size(1);
  bool is_sorted = true;
  for (int64_t k = 0; k < weight.inner(); ++k) {
    if (index[k] < 0 || index[k] >= groups) {
      throw Error(ErrorCode::kCheckpointInvalid, module + ": column " + std::to_string(k) + " is of group " + std::to_string(index[k]) +
                                                     ", and there are " + std::to_string(groups) + "; fetch the checkpoint again");
    }
    is_sorted = is_sorted && index[k] == k / weight.group;
  }
  if (is_sorted) weight.group_of = at::Tensor();
}

}  // namespace

std::optional<QuantisedTensors> find_quantised(const Checkpoint& checkpoint, const Quantisation& form, const std::string& module,
                                               std::vector<std::string>& problems) {
  if (form.format.empty()) return std::nullopt;
  if (form.format == "nf4") return find_nf4(checkpoint, module, problems);
  QuantisedTensors tensors{module, 0, 0, {}};
  Inspector inspect(checkpoint.entries(), tensors, problems);
  const bool is_columns = is_awq(form) || is_gptq(form);
  const char* const suffix = is_columns ? ".qweight" : form.format == "pack-quantized" ? ".weight_packed" : ".weight";
  const auto* const first = inspect.find(suffix);
  const auto wanted = is_columns || form.format == "pack-quantized" ? at::kInt
                      : form.format == "int-quantized"              ? at::kChar
                                                                    : at::kFloat8_e4m3fn;
  if (first == nullptr || (first->dtype != wanted && std::string(suffix) == ".weight")) return std::nullopt;
  tensors.names.push_back(module + suffix);
  const size_t before = problems.size();
  if (is_columns) {
    inspect_columns(form, inspect, tensors, problems);
  } else {
    inspect_compressed(checkpoint, form, inspect, tensors);
  }
  if (problems.size() == before && (tensors.rows < 1 || tensors.inner < 1)) {
    problems.push_back(module + suffix + " has shape " + shape_text(first->shape) + ", expected two sizes above 0");
  }
  // Scales of activations: nothing of the weight, and not used here.
  for (const char* other : {".input_scale", ".input_zero_point", ".output_scale", ".output_zero_point"}) {
    if (inspect.find(other) != nullptr) tensors.names.push_back(module + other);
  }
  return tensors;
}

QuantisedWeight read_quantised(const Checkpoint& checkpoint, const Quantisation& form, const QuantisedTensors& tensors) {
  if (form.format == "nf4") return read_nf4(checkpoint, tensors);
  const bool is_columns = is_awq(form) || is_gptq(form);
  auto weight = is_columns ? read_columns(checkpoint, form, tensors) : read_compressed(checkpoint, form, tensors);
  weight.group = form.group == 0 ? tensors.inner : form.group;
  settle_groups(weight, tensors.module);
  if (form.is_symmetric && (weight.zeros.defined() || weight.group_of.defined())) {
    throw Error(ErrorCode::kCheckpointInvalid, tensors.module + " has zero points or columns out of order, which config.json's "
                                                   "quantization_config denies; fetch the checkpoint again");
  }
  return weight;
}

void QuantisedWeight::dequantise(int64_t begin, int64_t count, float* out) const {
  const int64_t columns = inner(), groups = scales.size(1);
  const auto* const scale = scales.const_data_ptr<float>();
  const auto* const zero = zeros.defined() ? zeros.const_data_ptr<int8_t>() : nullptr;
  const auto* const index = group_of.defined() ? group_of.const_data_ptr<int32_t>() : nullptr;
  const bool is_float = codes.scalar_type() == at::kFloat8_e4m3fn;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t n = begin + i;
    for (int64_t k = 0; k < columns; ++k) {
      const int64_t g = n * groups + (index ? index[k] : k / group);
      if (is_nf4) {
        out[i * columns + k] = kNf4[codes.const_data_ptr<int8_t>()[n * columns + k]] * scale[g];
        continue;
      }
      const float code = is_float ? static_cast<float>(codes.const_data_ptr<c10::Float8_e4m3fn>()[n * columns + k])
                                  : static_cast<float>(codes.const_data_ptr<int8_t>()[n * columns + k] - (zero ? zero[g] : 0));
      out[i * columns + k] = code * scale[g];
    }
  }
}

}  // namespace facellm
