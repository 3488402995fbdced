#include "model/double_quantisation.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "model/name_map.h"

namespace facellm {
namespace {

constexpr int64_t kNestedBlock = 256;
constexpr float kLeast = 1e-38f;

// In pieces that libtorch sums on one thread: the bits do not follow from the number of threads.
at::Tensor mean_of(const at::Tensor& values) {
  constexpr int64_t kPiece = 32768 - 1;
  auto sum = at::zeros({});
  for (int64_t begin = 0; begin < values.numel(); begin += kPiece) {
    sum = sum + values.narrow(0, begin, std::min(kPiece, values.numel() - begin)).sum();
  }
  return sum / static_cast<double>(values.numel());
}

// Magnitudes of a matrix's groups, [count, groups], read or written where the blocks have them.
template <typename Visit>
void each_magnitude(const PackedMatrix& matrix, int64_t begin, int64_t count, float* values, const Visit& visit) {
  const int64_t groups = (matrix.inner() + 63) / 64;
  for (int64_t n = begin; n < begin + count; ++n) {
    std::byte* const block = matrix.blocks_begin() + n / kBlockRows * matrix.block_bytes();
    for (int64_t g = 0; g < groups; ++g) {
      visit(block + g * kNf4RecordBytes + n % kBlockRows * 4, values + (n - begin) * groups + g);
    }
  }
}

bool is_stored_so(const std::string& module, const Checkpoint& checkpoint) {
  const auto sources = tensor_sources(module + ".weight");
  return std::any_of(sources.begin(), sources.end(),
                     [&](const auto& source) { return checkpoint.entries().contains(source.name + ".nested_absmax"); });
}

}  // namespace

at::Tensor dynamic_map() {
  std::vector<at::Tensor> parts;
  for (int i = 0; i < 7; ++i) {
    const auto bounds = at::linspace(0.1, 1, (1 << i) + 1, at::kFloat);
    const auto means = (bounds.narrow(0, 0, 1 << i) + bounds.narrow(0, 1, 1 << i)) / 2.0;
    const auto scaled = means * std::pow(10.0, i - 6);
    parts.push_back(scaled);
    parts.push_back(-scaled);
  }
  parts.push_back(at::zeros({1}));
  parts.push_back(at::ones({1}));
  return std::get<0>(at::cat(parts).sort());
}

at::Tensor double_quantised(const at::Tensor& magnitudes) {
  const c10::NoGradGuard no_grad;
  const auto map = dynamic_map();
  const auto flat = magnitudes.reshape({-1}).contiguous();
  const auto offset = mean_of(flat);
  const auto rest = flat - offset;
  const int64_t whole = rest.numel() / kNestedBlock * kNestedBlock;
  std::vector<at::Tensor> scaled, scales;
  if (whole > 0) {
    const auto blocks = rest.narrow(0, 0, whole).view({-1, kNestedBlock});
    const auto most = std::get<0>(blocks.abs().max(-1));
    scaled.push_back((blocks * (1.0 / most.clamp_min(kLeast)).unsqueeze(1)).reshape({-1}));
    scales.push_back(most.repeat_interleave(kNestedBlock));
  }
  if (whole < rest.numel()) {
    const auto last = rest.narrow(0, whole, rest.numel() - whole);
    const auto most = last.abs().max().clamp_min(kLeast);
    scaled.push_back(last / most);
    scales.push_back(most.expand({last.numel()}));
  }
  const auto codes = at::bucketize(at::cat(scaled).clamp_(-1, 1), (map.narrow(0, 0, 255) + map.narrow(0, 1, 255)) / 2.0);
  return (map.index_select(0, codes) * at::cat(scales) + offset).view(magnitudes.sizes());
}

void double_quantise(const PackedSiteList& sites, const Checkpoint& checkpoint) {
  for (const auto& [linear, slices, scheme] : sites) {
    if (scheme.form != WeightForm::kNf4 || !scheme.is_double) continue;
    const auto& matrix = *linear->packed;
    for (const auto& slice : slices) {
      if (is_stored_so(slice.name, checkpoint)) continue;
      const auto magnitudes = at::empty({slice.count, (matrix.inner() + 63) / 64}, at::kFloat);
      each_magnitude(matrix, slice.begin, slice.count, magnitudes.mutable_data_ptr<float>(),
                     [](const std::byte* kept, float* value) { std::memcpy(value, kept, 4); });
      const auto back = double_quantised(magnitudes).contiguous();
      each_magnitude(matrix, slice.begin, slice.count, back.mutable_data_ptr<float>(),
                     [](std::byte* kept, const float* value) { std::memcpy(kept, value, 4); });
    }
  }
}

}  // namespace facellm
