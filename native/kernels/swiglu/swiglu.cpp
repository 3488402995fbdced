#include "kernels/swiglu/swiglu.h"

#include "kernels/common/checks.h"
#include "kernels/common/cuda_launch.h"
#include "kernels/swiglu/swiglu_cuda.h"

namespace facellm {
namespace {

void check(const at::Tensor& gate_up) {
  KernelChecks checks("swiglu");
  checks.require_float(gate_up, "gate_up");
  checks.require(gate_up.dim() >= 1 && gate_up.size(-1) % 2 == 0,
                 "gate_up: expected an even last dimension");
  checks.require(gate_up.dim() >= 1 && (gate_up.size(-1) <= 1 || gate_up.stride(-1) == 1),
                 "gate_up: expected a contiguous last dimension");
  checks.finish();
}

#if FACELLM_CUDA
at::Tensor fused(const at::Tensor& gate_up) {
  const auto x = gate_up.contiguous();
  auto shape = x.sizes().vec();
  shape.back() /= 2;
  const auto out = at::empty(shape, x.options());
  if (out.numel() == 0) return out;
  cuda_launch("swiglu", x, [&](cudaStream_t stream) {
    swiglu_cuda(x.const_data_ptr(), out.mutable_data_ptr(), out.numel() / shape.back(),
                shape.back(), x.scalar_type() == at::kBFloat16, stream);
  });
  return out;
}
#endif

}  // namespace

at::Tensor swiglu(const at::Tensor& gate_up) {
  check(gate_up);
  if (needs_autograd({gate_up})) return swiglu_autograd(gate_up);
  if (gate_up.is_cuda()) {
#if FACELLM_CUDA
    return fused(gate_up);
#else
    throw Error(ErrorCode::kDeviceNoCuda, "swiglu: this build has no CUDA");
#endif
  }
  return swiglu_reference(gate_up);
}

}  // namespace facellm
