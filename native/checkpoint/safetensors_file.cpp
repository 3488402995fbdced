#include "checkpoint/safetensors_file.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <optional>
#include <string_view>

#include "checkpoint/json_header.h"

namespace facellm {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors data are little-endian");

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the limit of the format's own library

c10::ScalarType weight_dtype(std::string_view name, StoredDtypes dtypes) {
  if (dtypes == StoredDtypes::kNumbersAndCodes) {
    if (name == "I8") return c10::ScalarType::Char;
    if (name == "U8") return c10::ScalarType::Byte;
    if (name == "I32") return c10::ScalarType::Int;
    if (name == "I64") return c10::ScalarType::Long;
    if (name == "F8_E4M3") return c10::ScalarType::Float8_e4m3fn;
  }
  if (name == "BF16") return c10::ScalarType::BFloat16;
  if (name == "F16") return c10::ScalarType::Half;
  if (name == "F32") return c10::ScalarType::Float;
  return c10::ScalarType::Undefined;
}

std::string range_text(uint64_t begin, uint64_t end) {
  return "[" + std::to_string(begin) + ", " + std::to_string(end) + ")";
}

// Bytes of a tensor, or nothing when any product of its sizes leaves int64 (strides are such
// products too, hence a size of 0 counts as 1 while multiplying).
std::optional<uint64_t> byte_count(const std::vector<uint64_t>& shape, uint64_t item_bytes) {
  constexpr auto kLimit = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  uint64_t product = item_bytes;
  bool is_empty = false;
  for (const uint64_t size : shape) {
    is_empty = is_empty || size == 0;
    const uint64_t factor = std::max<uint64_t>(size, 1);
    if (factor > kLimit / product) return std::nullopt;
    product *= factor;
  }
  return is_empty ? 0 : product;
}

// True if the offsets are usable for the coverage check.
bool check_offsets(const HeaderTensor& tensor, uint64_t data_bytes, const std::string& place,
                   ProblemList& problems) {
  if (tensor.begin > tensor.end) {
    problems.add(place + " has data_offsets in the wrong order " +
                 range_text(tensor.begin, tensor.end));
    return false;
  }
  if (tensor.end > data_bytes) {
    problems.add(place + " has data_offsets " + range_text(tensor.begin, tensor.end) +
                 " beyond the " + std::to_string(data_bytes) +
                 " bytes of data in the file; it is cut short or damaged");
    return false;
  }
  return true;
}

void check_size(const HeaderTensor& tensor, c10::ScalarType dtype, const std::string& place,
                ProblemList& problems) {
  const auto bytes = byte_count(tensor.shape, c10::elementSize(dtype));
  if (!bytes) {
    problems.add(place + " has a shape too large to address " + shape_text(tensor.shape));
  } else if (tensor.begin <= tensor.end && *bytes != tensor.end - tensor.begin) {
    problems.add(place + " of shape " + shape_text(tensor.shape) + " and dtype " + tensor.dtype +
                 " needs " + std::to_string(*bytes) + " bytes, but its data_offsets " +
                 range_text(tensor.begin, tensor.end) + " hold " +
                 std::to_string(tensor.end - tensor.begin));
  }
}

// The format wants the data covered exactly once.
void check_coverage(std::vector<HeaderTensor>& tensors, uint64_t data_bytes,
                    const std::string& file, ProblemList& problems) {
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
  });
  uint64_t covered = 0;
  const HeaderTensor* last = nullptr;
  for (const auto& tensor : tensors) {
    const std::string place = file + ": " + printable(tensor.name);
    if (tensor.begin > covered) {
      problems.add(place + " leaves a gap before its data " + range_text(covered, tensor.begin));
    } else if (tensor.begin < covered) {
      problems.add(place + " overlaps " + (last ? printable(last->name) : "") + " in the data " +
                   range_text(tensor.begin, std::min(covered, tensor.end)));
    }
    if (!last || tensor.end > covered) last = &tensor;
    covered = std::max(covered, tensor.end);
  }
  if (covered < data_bytes) {
    problems.add(file + ": the last " + std::to_string(data_bytes - covered) +
                 " bytes belong to no tensor");
  }
}

// The header's text; empty after reporting a problem.
std::string header_text(const DataFile& data, const std::string& file, ProblemList& problems) {
  if (data.size() < kLengthBytes) {
    problems.add(file + ": has " + std::to_string(data.size()) +
                 " bytes, too few for a safetensors header; it is cut short");
    return {};
  }
  uint64_t length = 0;
  data.read(0, kLengthBytes, &length);
  if (length > kMaxHeaderBytes) {
    problems.add(file + ": announces a header of " + std::to_string(length) + " bytes, at most " +
                 std::to_string(kMaxHeaderBytes) + " are allowed; it is no safetensors file");
    return {};
  }
  if (length > data.size() - kLengthBytes) {
    problems.add(file + ": announces a header of " + std::to_string(length) + " bytes, but has " +
                 std::to_string(data.size()) + " in all; it is cut short");
    return {};
  }
  std::string text(length, '\0');
  data.read(kLengthBytes, length, text.data());
  if (!text.starts_with('{')) {
    problems.add(file + ": the header does not start with '{'; it is no safetensors file");
    return {};
  }
  return text;
}

}  // namespace

SafetensorsFile read_safetensors(std::shared_ptr<const DataFile> data, const std::string& file,
                                 ProblemList& problems, StoredDtypes dtypes) {
  SafetensorsFile result{std::move(data), {}, false};
  const auto text = header_text(*result.data, file, problems);
  if (text.empty()) return result;
  const size_t before = problems.count();
  auto parsed = parse_json_header(text, file, problems);
  const uint64_t data_start = kLengthBytes + text.size();
  const uint64_t data_bytes = result.data->size() - data_start;

  result.has_all_tensors = problems.count() == before;
  // Without all tensors of the header at hand, gaps would be reported that are none.
  bool has_all_ranges = result.has_all_tensors;
  for (const auto& tensor : parsed) {
    const std::string place = file + ": " + printable(tensor.name);
    const auto dtype = weight_dtype(tensor.dtype, dtypes);
    if (dtype == c10::ScalarType::Undefined) {
      problems.add(place + " has the unsupported dtype " + printable(tensor.dtype) +
                   (dtypes == StoredDtypes::kNumbers ? ", expected BF16, F16 or F32"
                                                     : ", expected BF16, F16, F32, I8, U8, I32, I64 or F8_E4M3"));
    } else {
      check_size(tensor, dtype, place, problems);
    }
    has_all_ranges &= check_offsets(tensor, data_bytes, place, problems);
    result.tensors.push_back({tensor.name, dtype, {tensor.shape.begin(), tensor.shape.end()},
                              data_start + tensor.begin, data_start + tensor.end});
  }
  if (has_all_ranges) check_coverage(parsed, data_bytes, file, problems);
  return result;
}

}  // namespace facellm
