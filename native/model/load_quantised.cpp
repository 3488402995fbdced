#include "model/load_quantised.h"

#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <set>

#include "model/packed_codes.h"
#include "model/scan_finite.h"

namespace facellm {
namespace {

// A matrix's slices, read, and which of them has a row.
class Rows {
 public:
  Rows(const Checkpoint& checkpoint, const Quantisation& form, const std::vector<QuantisedRows>& slices) : slices_(slices) {
    for (const auto& slice : slices) {
      weights_.push_back(read_quantised(checkpoint, form, slice.tensors));
      begins_.push_back(count_);
      count_ += slice.count;
    }
  }

  int64_t count() const { return count_; }
  const std::vector<QuantisedWeight>& weights() const { return weights_; }
  const std::string& module(size_t slice) const { return slices_[slice].tensors.module; }
  // Calls visit(slice, row of its weight, row of the matrix) for rows [begin, end).
  template <typename Visit>
  void each(int64_t begin, int64_t end, const Visit& visit) const {
    size_t slice = static_cast<size_t>(std::upper_bound(begins_.begin(), begins_.end(), begin) - begins_.begin()) - 1;
    for (int64_t row = begin; row < end; ++row) {
      while (row >= begins_[slice] + slices_[slice].count) ++slice;
      visit(slice, slices_[slice].first + row - begins_[slice], row);
    }
  }

 private:
  const std::vector<QuantisedRows>& slices_;
  std::vector<QuantisedWeight> weights_;
  std::vector<int64_t> begins_;
  int64_t count_ = 0;
};

// 0x7f and 0xff stand for no number.
bool has_fp8_nan(const QuantisedWeight& weight, int64_t row) {
  const auto* const codes = static_cast<const uint8_t*>(weight.codes.const_data_ptr()) + row * weight.inner();
  return std::any_of(codes, codes + weight.inner(), [](uint8_t code) { return (code & 0x7f) == 0x7f; });
}

void fill_target(const QuantisedTarget& target, const Rows& rows, int64_t bits, std::vector<std::atomic<bool>>& is_bad) {
  const int64_t inner = rows.weights()[0].inner();
  const bool is_as_stored =
      target.packed != nullptr && target.scheme.form != WeightForm::kBf16 &&
      std::all_of(rows.weights().begin(), rows.weights().end(),
                  [&](const QuantisedWeight& weight) { return holds_codes(weight, bits, target.scheme); });
  at::parallel_for(0, (rows.count() + kBlockRows - 1) / kBlockRows, 1, [&](int64_t first, int64_t last) {
    const c10::NoGradGuard no_grad;
    const auto block = at::empty({kBlockRows, inner}, at::kFloat);
    auto* const values = block.mutable_data_ptr<float>();
    for (int64_t b = first; b < last; ++b) {
      const int64_t begin = b * kBlockRows, end = std::min(begin + kBlockRows, rows.count());
      rows.each(begin, end, [&](size_t slice, int64_t row, int64_t to) {
        const auto& weight = rows.weights()[slice];
        if (is_as_stored) {
          const auto* const scales = weight.scales.const_data_ptr<float>() + row * weight.scales.size(1);
          // int4's are fp16 in memory.
          const float most = target.scheme.form == WeightForm::kInt4 ? 65504 : std::numeric_limits<float>::max();
          for (int64_t g = 0; g < weight.scales.size(1); ++g) {
            if (!(std::abs(scales[g]) <= most)) is_bad[slice] = true;
          }
          if (target.scheme.form == WeightForm::kFp8 && has_fp8_nan(weight, row)) is_bad[slice] = true;
          put_codes(target.packed->blocks_begin(), to, weight, row, target.scheme);
          return;
        }
        float* const out = values + (to - begin) * inner;
        weight.dequantise(row, 1, out);
        if (!is_finite(out, inner, at::kFloat)) is_bad[slice] = true;
      });
      if (is_as_stored) continue;
      const auto own = block.narrow(0, 0, end - begin);
      if (target.packed != nullptr) {
        target.packed->fill(own.to(target.packed->source_dtype()).const_data_ptr(), b, b + 1);
        continue;
      }
      // Of the matrix, flattened, the part that is kept.
      const int64_t from = std::max(begin * inner, target.begin);
      const int64_t until = std::min(end * inner, target.begin + target.dense.numel());
      if (from < until) {
        target.dense.view({-1}).narrow(0, from - target.begin, until - from).copy_(
            own.reshape({-1}).narrow(0, from - begin * inner, until - from));
      }
    }
  });
}

}  // namespace

std::vector<std::string> load_quantised(const Checkpoint& checkpoint, const Quantisation& form, const std::vector<QuantisedTarget>& targets,
                                        const std::function<void(int64_t done)>& progress, const Cancellation& cancellation) {
  std::set<std::string> bad;
  int64_t done = 0;
  for (const auto& target : targets) {
    cancellation.check();
    const Rows rows(checkpoint, form, target.slices);
    std::vector<std::atomic<bool>> is_bad(target.slices.size());
    fill_target(target, rows, form.bits, is_bad);
    for (size_t i = 0; i < is_bad.size(); ++i) {
      if (is_bad[i]) bad.insert(rows.module(i));
    }
    progress(done += rows.count() * rows.weights()[0].inner());
  }
  return {bad.begin(), bad.end()};
}

}  // namespace facellm
