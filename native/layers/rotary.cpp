#include "layers/rotary.h"

namespace facellm {

Rotary::Rotary(int64_t head_dim, double theta, const at::TensorOptions& options)
    : dtype_(c10::typeMetaToScalarType(options.dtype())) {
  // On the CPU in fp32 whatever the device, as transformers initialises it.
  const auto exponents = at::arange(0, head_dim, 2, at::kFloat) / static_cast<double>(head_dim);
  inverse_frequencies_ = at::reciprocal(at::pow(theta, exponents)).to(options.device());
}

RotaryTables Rotary::operator()(const at::Tensor& positions) const {
  const auto angles = positions.to(at::kFloat).unsqueeze(-1) * inverse_frequencies_;
  const auto both_halves = at::cat({angles, angles}, -1);
  return {both_halves.cos().to(dtype_), both_halves.sin().to(dtype_)};
}

}  // namespace facellm
