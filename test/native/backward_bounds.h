// What gradients and losses computed in fp32 may be off by, element by element, beside the truth in fp64: of any device's kernels.
#pragma once

#include <ATen/ATen.h>

#include <cmath>

#include "kernels/add_rms_norm/add_rms_norm.h"
#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/swiglu/swiglu.h"
#include "row_levels.h"

namespace facellm {

inline constexpr double kWide = 0x1p-24;

inline at::Tensor truth_of(const at::Tensor& x) { return x.defined() ? x.cpu().to(at::kDouble) : x; }

struct Bounded {
  at::Tensor truth, allowed;
};

// `type`: of what is rounded once at the end, as below.
inline Bounded norm_backward_bound(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& dy, const at::Tensor& other, double eps,
                                   at::ScalarType type) {
  const auto truth = add_rms_norm_backward_reference(truth_of(x), truth_of(weight), truth_of(dy), truth_of(other), eps);
  const auto scale = at::rsqrt(truth_of(x).pow(2).mean(-1, true) + eps);
  const auto g = (truth_of(dy) * truth_of(weight)).abs(), share = (g * truth_of(x).abs() * scale).mean(-1, true);
  // Sums in 16 chains or more, of terms that may cancel; a handful of operations on what they are multiplied with; then the dtype's.
  const double chain = (static_cast<double>(x.size(-1)) / 16 + 12) * kWide;
  return {truth, (g + truth_of(x).abs() * scale * share) * scale * 2 * chain + truth.abs() * (1.01 * step_of(type) + kWide) +
                     (other.defined() ? truth_of(other).abs() * kWide : at::zeros_like(truth)) + 1e-40};
}

inline Bounded swiglu_backward_bound(const at::Tensor& gate_up, const at::Tensor& dy, at::ScalarType type) {
  const auto truth = swiglu_backward_reference(truth_of(gate_up), truth_of(dy));
  const auto halves = truth_of(gate_up).chunk(2, -1);
  // s, 1 - s and 1 + g (1 - s) are each within some steps; the last may cancel around g = -1.28, whose terms are about one.
  const auto s = at::sigmoid(halves[0]);
  const auto room = (truth_of(dy) * halves[1]).abs() * s * (1 + halves[0].abs() * (1 - s)) * 12 * kWide;
  return {truth, truth.abs() * (1.01 * step_of(type) + 8 * kWide) + at::cat({room, at::zeros_like(room)}, -1) +
                     (type == at::kFloat ? 0x1p-140 : 0x1p-133)};
}

struct BoundedLosses {
  Bounded losses, gradients;
};

inline BoundedLosses cross_entropy_bound(const at::Tensor& logits, const at::Tensor& labels, const at::Tensor& scales) {
  const auto wide = truth_of(logits);
  auto gradients = wide.clone();
  const auto losses = cross_entropy_reference(gradients, labels.cpu(), truth_of(scales));
  const auto probabilities = at::softmax(wide, 1);
  const auto size = static_cast<double>(logits.size(1));
  // On a CPU sums in chains of 64 terms, of which a row has as many more; on a GPU each of 512 threads rounds its own terms twice, then come
  // ten steps over the block. Logs and differences of what the logits are.
  const double chain = ((logits.is_cpu() ? 64 + size / 1024 : 2 * std::ceil(size / 512) + 8) + 12) * kWide;
  return {{losses, chain + (wide.abs().amax(1) * 2 + losses.abs()) * 2 * kWide},
          {gradients, truth_of(scales).abs().unsqueeze(1) * probabilities * 2 * chain +
                          gradients.abs() * 1.01 * step_of(logits.scalar_type()) + 1e-40}};
}

}  // namespace facellm
