#include "kernels/common/checks.h"
#include "kernels/common/cuda_launch.h"
#include "kernels/common/rows.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/row_work.h"
#include "kernels/swiglu/swiglu.h"
#include "kernels/swiglu/swiglu_cuda.h"

namespace facellm {
namespace {

void check(const at::Tensor& gate_up, const at::Tensor& grad) {
  KernelChecks checks("swiglu_backward");
  checks.require_float(gate_up, "gate_up");
  checks.require(gate_up.dim() >= 1 && gate_up.size(-1) % 2 == 0, "gate_up: expected an even last dimension");
  checks.finish();
  auto shape = gate_up.sizes().vec();
  shape.back() /= 2;
  checks.require_same(grad, gate_up, "grad");
  checks.require_shape(grad, shape, "grad");
  checks.finish();
}

}  // namespace

at::Tensor swiglu_backward(const at::Tensor& gate_up, const at::Tensor& grad) {
  check(gate_up, grad);
  if (!gate_up.is_cuda() && !takes_row_kernels(gate_up)) return swiglu_backward_reference(gate_up, grad);
  const auto x = gate_up.is_cpu() && row_stride(gate_up) ? gate_up : gate_up.contiguous();
  const auto dy = grad.contiguous();
  const auto out = at::empty(x.sizes(), x.options());
  if (out.numel() == 0) return out;
  const int64_t size = dy.size(-1), rows = dy.numel() / size;
  const bool is_bf16 = x.scalar_type() == at::kBFloat16;
  if (x.is_cpu()) {
    const GateBackwardRows job{x.const_data_ptr(), dy.const_data_ptr(), out.mutable_data_ptr(), size, *row_stride(x), is_bf16};
    for_rows(rows, 2 * size, [&](int64_t begin, int64_t end) { row_kernels().swiglu_backward(&job, begin, end); });
    return out;
  }
#if FACELLM_CUDA
  cuda_launch("swiglu_backward", x, [&](cudaStream_t stream) {
    swiglu_backward_cuda(x.const_data_ptr(), dy.const_data_ptr(), out.mutable_data_ptr(), rows, size, is_bf16, stream);
  });
  return out;
#else
  throw Error(ErrorCode::kDeviceNoCuda, "swiglu_backward: this build has no CUDA");
#endif
}

at::Tensor swiglu_backward_reference(const at::Tensor& gate_up, const at::Tensor& grad) {
  const auto wide = [](const at::Tensor& x) { return x.scalar_type() == at::kDouble ? x : x.to(at::kFloat); };
  const auto halves = wide(gate_up).chunk(2, -1);
  const auto &gate = halves[0], &up = halves[1];
  const auto dy = wide(grad), s = at::sigmoid(gate);
  return at::cat({dy * up * s * (1 + gate * (1 - s)), dy * (gate * s)}, -1).to(gate_up.scalar_type());
}

}  // namespace facellm
