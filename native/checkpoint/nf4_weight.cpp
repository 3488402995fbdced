#include "checkpoint/nf4_weight.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>
#include <string_view>

#include "checkpoint/json_reader.h"
#include "checkpoint/problem_list.h"
#include "core/error.h"
#include "core/nf4_values.h"

namespace facellm {
namespace {

constexpr const char* kState = ".weight.quant_state.bitsandbytes__nf4";
constexpr int64_t kMostState = 64 << 10;  // bytes of its text
constexpr int64_t kNestedBlock = 256;

// The text beside a weight.
struct State {
  std::vector<int64_t> shape;
  uint64_t block = 0, nested_block = 0;
  std::string type;
  std::optional<float> offset;  // none: missing, or no number
  bool is_nested = false;
};

std::optional<float> finite_number(std::string_view text) {
  float value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

State read_state(const Checkpoint& checkpoint, const std::string& name) {
  const auto bytes = checkpoint.view(name);
  const std::string text(static_cast<const char*>(bytes.const_data_ptr()), static_cast<size_t>(bytes.numel()));
  State state;
  JsonReader reader(text);
  reader.object([&](const std::string& key) {
    if (key == "shape") {
      reader.array([&] {
        uint64_t size = 0;
        if (reader.unsigned_integer(size)) state.shape.push_back(static_cast<int64_t>(size));
      });
    } else if (key == "blocksize") {
      reader.unsigned_integer(state.block);
    } else if (key == "nested_blocksize") {
      state.is_nested = reader.unsigned_integer(state.nested_block);
    } else if (key == "quant_type") {
      state.type = reader.string();
    } else if (key == "nested_offset") {
      reader.peek();
      const size_t begin = reader.position();
      reader.skip();
      state.offset = finite_number(std::string_view(text).substr(begin, reader.position() - begin));
    } else {
      reader.skip();
    }
  });
  reader.finish();
  return state;
}

class Nf4Inspector {
 public:
  Nf4Inspector(const Checkpoint& checkpoint, QuantisedTensors& tensors, std::vector<std::string>& problems)
      : checkpoint_(checkpoint), tensors_(tensors), problems_(problems) {}

  bool take(const std::string& suffix, at::ScalarType dtype, int64_t count) {
    const std::string name = tensors_.module + suffix;
    const auto found = checkpoint_.entries().find(name);
    if (found == checkpoint_.entries().end()) {
      problems_.push_back("missing tensor " + name + ", which belongs to " + tensors_.module + ".weight");
      return false;
    }
    tensors_.names.push_back(name);
    const auto& entry = found->second;
    int64_t numbers = 1;
    for (const int64_t size : entry.shape) numbers *= size;
    if (entry.dtype == dtype && (count < 0 ? numbers <= -count : numbers == count)) return true;
    problems_.push_back(name + " holds " + std::to_string(numbers) + " of " + c10::toString(entry.dtype) + ", expected " +
                        (count < 0 ? "at most " + std::to_string(-count) : std::to_string(count)) + " of " + c10::toString(dtype));
    return false;
  }

 private:
  const Checkpoint& checkpoint_;
  QuantisedTensors& tensors_;
  std::vector<std::string>& problems_;
};

}  // namespace

std::optional<QuantisedTensors> find_nf4(const Checkpoint& checkpoint, const std::string& module, std::vector<std::string>& problems) {
  const auto& entries = checkpoint.entries();
  const auto weight = entries.find(module + ".weight");
  if (weight == entries.end() || weight->second.dtype != at::kByte) return std::nullopt;
  QuantisedTensors tensors{module, 0, 0, {}};
  Nf4Inspector inspect(checkpoint, tensors, problems);
  // Whatever is wrong with the state, what lies beside it is this weight's.
  for (const char* suffix : {"", ".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map"}) {
    if (entries.contains(module + ".weight" + suffix)) tensors.names.push_back(module + ".weight" + suffix);
  }
  if (!inspect.take(kState, at::kByte, -kMostState)) return tensors;
  State state;
  try {
    state = read_state(checkpoint, module + kState);
  } catch (const JsonSyntaxError& error) {
    problems.push_back(module + kState + " is no JSON text: " + error.what());
    return tensors;
  }
  const bool has_shape = state.shape.size() == 2 && state.shape[0] > 0 && state.shape[1] > 0 && state.shape[0] < (1 << 30) &&
                         state.shape[1] < (1 << 30);
  const bool has_offset = !state.is_nested || state.offset;
  if (!has_shape || !has_offset || state.type != "nf4" || state.block != kNf4Group || (state.is_nested && state.nested_block != kNestedBlock) ||
      state.shape[1] % kNf4Group != 0) {
    problems.push_back(module + kState + ": expected nf4 in blocks of 64, magnitudes as they are or in blocks of 256 with a finite nested_offset, and a multiple of 64 columns");
    return tensors;
  }
  tensors.rows = state.shape[0];
  tensors.inner = state.shape[1];
  const int64_t numbers = tensors.rows * tensors.inner, blocks = numbers / kNf4Group;
  inspect.take(".weight", at::kByte, numbers / 2);
  inspect.take(".weight.quant_map", at::kFloat, 16);
  inspect.take(".weight.absmax", state.is_nested ? at::kByte : at::kFloat, blocks);
  if (state.is_nested) {
    inspect.take(".weight.nested_quant_map", at::kFloat, 256);
    inspect.take(".weight.nested_absmax", at::kFloat, (blocks + kNestedBlock - 1) / kNestedBlock);
  }
  return tensors;
}

QuantisedWeight read_nf4(const Checkpoint& checkpoint, const QuantisedTensors& tensors) {
  const auto view = [&](const char* suffix) { return checkpoint.view(tensors.module + suffix); };
  const auto state = read_state(checkpoint, tensors.module + kState);
  if (std::memcmp(view(".weight.quant_map").const_data_ptr(), kNf4, sizeof kNf4) != 0) {
    throw Error(ErrorCode::kCheckpointInvalid, tensors.module + ".weight.quant_map is not nf4's table; fetch the checkpoint again");
  }
  const int64_t rows = tensors.rows, inner = tensors.inner;
  QuantisedWeight weight;
  weight.is_nf4 = true;
  weight.group = kNf4Group;
  const auto bytes = view(".weight");
  weight.codes = at::empty({rows, inner}, at::kChar);
  const auto* const from = bytes.const_data_ptr<uint8_t>();
  auto* const codes = weight.codes.mutable_data_ptr<int8_t>();
  for (int64_t i = 0; i < rows * inner / 2; ++i) {
    codes[2 * i] = static_cast<int8_t>(from[i] >> 4);  // the first number in the upper half
    codes[2 * i + 1] = static_cast<int8_t>(from[i] & 15);
  }
  const auto magnitudes = view(".weight.absmax");
  if (!state.is_nested) {
    weight.scales = magnitudes.reshape({rows, inner / kNf4Group});
    return weight;
  }
  const auto map = view(".weight.nested_quant_map"), nested = view(".weight.nested_absmax");
  weight.scales = at::empty({rows, inner / kNf4Group}, at::kFloat);
  auto* const to = weight.scales.mutable_data_ptr<float>();
  for (int64_t i = 0; i < magnitudes.numel(); ++i) {
    const float part = map.const_data_ptr<float>()[magnitudes.const_data_ptr<uint8_t>()[i]];
    // Two roundings, as bitsandbytes has them.
    const volatile float product = part * nested.const_data_ptr<float>()[i / kNestedBlock];
    to[i] = product + *state.offset;
  }
  return weight;
}

}  // namespace facellm
