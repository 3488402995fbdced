// What tests of kernels/cpu/row_kernels.h ask of every level alike.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/cpu_level.h"
#include "guarded.h"
#include "kernels/cpu/isa.h"

namespace facellm {

inline constexpr at::ScalarType kDtypes[] = {at::kBFloat16, at::kFloat};

inline std::vector<const RowKernels*> levels() {
  std::vector<const RowKernels*> found{&kScalarRows};
#if defined(__x86_64__)
  if (detect_cpu().level >= CpuLevel::kAvx2) found.push_back(&kAvx2Rows);
  if (detect_cpu().level >= CpuLevel::kAvx512) found.push_back(&kAvx512Rows);
#endif
  return found;
}

inline at::Tensor bits(const at::Tensor& x) {
  return x.contiguous().view(x.scalar_type() == at::kFloat ? at::kInt : at::kShort);
}

// A copy whose memory ends where it ends.
class Numbers {
 public:
  explicit Numbers(const at::Tensor& values) : shape_(values.sizes().vec()), type_(values.scalar_type()), own_(flat(values)) {}
  void* data() const { return own_.data(); }
  at::Tensor tensor() const { return at::from_blob(own_.data(), shape_, type_).clone(); }

 private:
  static at::Tensor flat(const at::Tensor& values) { return values.contiguous().flatten().view(at::kBFloat16); }
  std::vector<int64_t> shape_;
  at::ScalarType type_;
  Guarded own_;
};

// One rounding to the dtype, as a share of the result.
inline double step_of(at::ScalarType type) { return type == at::kFloat ? 0x1p-24 : 0x1p-8; }

inline void expect_within(const at::Tensor& actual, const at::Tensor& truth, const at::Tensor& allowed, const std::string& where) {
  const auto error = (actual.to(at::kDouble) - truth).abs();
  EXPECT_TRUE((error <= allowed).all().item<bool>()) << where << ": worst " << (error / allowed).max().item<double>() << " of the bound";
}

}  // namespace facellm
