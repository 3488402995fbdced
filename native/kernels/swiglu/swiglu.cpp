#include "kernels/swiglu/swiglu.h"

#include "kernels/common/checks.h"
#include "kernels/common/cuda_launch.h"
#include "kernels/common/rows.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/row_work.h"
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

at::Tensor fused(const at::Tensor& gate_up) {
  const auto x = gate_up.is_cpu() && row_stride(gate_up) ? gate_up : gate_up.contiguous();
  auto shape = x.sizes().vec();
  shape.back() /= 2;
  const auto out = at::empty(shape, x.options());
  if (out.numel() == 0) return out;
  if (x.is_cpu()) {
    const GateRows job{x.const_data_ptr(), out.mutable_data_ptr(), shape.back(), *row_stride(x), x.scalar_type() == at::kBFloat16};
    for_rows(out.numel() / shape.back(), shape.back(), [&](int64_t begin, int64_t end) { row_kernels().swiglu(&job, begin, end); });
    return out;
  }
#if FACELLM_CUDA
  cuda_launch("swiglu", x, [&](cudaStream_t stream) {
    swiglu_cuda(x.const_data_ptr(), out.mutable_data_ptr(), out.numel() / shape.back(),
                shape.back(), x.scalar_type() == at::kBFloat16, stream);
  });
  return out;
#else
  throw Error(ErrorCode::kDeviceNoCuda, "swiglu: this build has no CUDA");
#endif
}

}  // namespace

at::Tensor swiglu(const at::Tensor& gate_up) {
  check(gate_up);
  if (needs_autograd({gate_up})) return swiglu_autograd(gate_up);
  return gate_up.is_cuda() || takes_row_kernels(gate_up) ? fused(gate_up) : swiglu_reference(gate_up);
}

}  // namespace facellm
