// Rotary position embedding tables, half-split convention (docs/internvl3.md, section 9).
// Frequencies and angles in fp32, cos and sin rounded to the model's dtype. "Dynamic" scaling changes
// nothing up to max_position_embeddings, which generation enforces as a limit, so it has no code here.
#pragma once

#include <ATen/ATen.h>

namespace facellm {

struct RotaryTables {
  at::Tensor cos;  // [..., E], both halves filled
  at::Tensor sin;
};

class Rotary {
 public:
  Rotary(int64_t head_dim, double theta, const at::TensorOptions& options);
  // positions [...] int64 on the model's device.
  RotaryTables operator()(const at::Tensor& positions) const;

 private:
  at::Tensor inverse_frequencies_;  // [E / 2] fp32
  at::ScalarType dtype_;
};

}  // namespace facellm
