#include "kernels/swiglu/swiglu.h"

#include <c10/core/GradMode.h>

namespace facellm {

at::Tensor swiglu_reference(const at::Tensor& gate_up) {
  const auto halves = gate_up.chunk(2, -1);
  const auto gate = at::silu(halves[0]);
  return c10::GradMode::is_enabled() ? gate * halves[1] : at::Tensor(gate).mul_(halves[1]);
}

}  // namespace facellm
