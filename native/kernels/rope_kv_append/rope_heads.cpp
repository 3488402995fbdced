#include "kernels/rope_kv_append/rope_heads.h"

#include <torch/csrc/autograd/custom_function.h>

#include "kernels/common/checks.h"
#include "kernels/common/cuda_launch.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/row_work.h"
#include "kernels/rope_kv_append/rope_kv_append.h"
#include "kernels/rope_kv_append/rope_kv_append_cuda.h"

namespace facellm {
namespace {

void check(const RopeHeads& grads, const at::Tensor& cos, const at::Tensor& sin) {
  KernelChecks checks("rope_backward");
  checks.require_float(grads.q, "q");
  checks.require(grads.q.dim() == 3 && grads.keys.dim() == 3 && grads.q.size(2) % 2 == 0, "q, keys: expected 3 dimensions, the last even");
  checks.finish();
  const int64_t tokens = grads.q.size(1), head_dim = grads.q.size(2);
  for (const auto& [grad, name] : {std::pair(grads.keys, "keys"), std::pair(grads.values, "values")}) {
    checks.require_same(grad, grads.q, name);
    checks.require_shape(grad, {grads.keys.size(0), tokens, head_dim}, name);
  }
  for (const auto& [table, name] : {std::pair(cos, "cos"), std::pair(sin, "sin")}) {
    checks.require_same(table, grads.q, name);
    checks.require_shape(table, {tokens, head_dim}, name);
  }
  checks.finish();
}

at::Tensor whole_heads(const at::Tensor& x) { return x.stride(2) == 1 ? x : x.contiguous(); }

struct RopeHeadsFunction : torch::autograd::Function<RopeHeadsFunction> {
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context, const at::Tensor& qkv, const at::Tensor& cos,
                                                const at::Tensor& sin, const at::Tensor& slots, int64_t heads, int64_t kv_heads) {
    context->save_for_backward({cos, sin});
    const auto keys = at::empty({kv_heads, qkv.size(0), cos.size(1)}, qkv.options()), values = at::empty_like(keys);
    const auto q = rope_kv_append(qkv, cos, sin, keys, values, slots, heads, kv_heads);
    return {q, keys, values};
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    return {rope_backward({grads[0], grads[1], grads[2]}, saved[0], saved[1]), {}, {}, {}, {}, {}};
  }
};

}  // namespace

RopeHeads rope_heads(const at::Tensor& qkv, const at::Tensor& cos, const at::Tensor& sin, const at::Tensor& slots, int64_t num_heads,
                     int64_t num_kv_heads) {
  const auto parts = RopeHeadsFunction::apply(qkv, cos, sin, slots, num_heads, num_kv_heads);
  return {parts[0], parts[1], parts[2]};
}

at::Tensor rope_backward(const RopeHeads& grads, const at::Tensor& cos, const at::Tensor& sin) {
  check(grads, cos, sin);
  if (!grads.q.is_cuda() && !takes_row_kernels(grads.q)) return rope_backward_reference(grads, cos, sin);
  const auto q = whole_heads(grads.q), keys = whole_heads(grads.keys), values = whole_heads(grads.values);
  const auto c = cos.contiguous(), s = sin.contiguous();
  const int64_t heads = q.size(0), kv_heads = keys.size(0), tokens = q.size(1), head_dim = q.size(2);
  const auto out = at::empty({tokens, (heads + 2 * kv_heads) * head_dim}, q.options());
  if (out.numel() == 0) return out;
  const bool is_bf16 = q.scalar_type() == at::kBFloat16;
  if (q.is_cpu()) {
    const RopeBackwardRows job{q.const_data_ptr(),
                               keys.const_data_ptr(),
                               values.const_data_ptr(),
                               c.const_data_ptr(),
                               s.const_data_ptr(),
                               out.mutable_data_ptr(),
                               heads,
                               kv_heads,
                               head_dim,
                               q.stride(0),
                               q.stride(1),
                               keys.stride(0),
                               keys.stride(1),
                               values.stride(0),
                               values.stride(1),
                               is_bf16};
    for_rows(tokens, out.size(1), [&](int64_t begin, int64_t end) { row_kernels().rope_backward(&job, begin, end); });
    return out;
  }
#if FACELLM_CUDA
  const RopeBackwardShape shape{
      tokens, heads, kv_heads, head_dim, {q.stride(0), q.stride(1)}, {keys.stride(0), keys.stride(1)}, {values.stride(0), values.stride(1)}};
  cuda_launch("rope_backward", q, [&](cudaStream_t stream) {
    rope_backward_cuda(q.const_data_ptr(), keys.const_data_ptr(), values.const_data_ptr(), c.const_data_ptr(), s.const_data_ptr(),
                       out.mutable_data_ptr(), shape, is_bf16, stream);
  });
  return out;
#else
  throw Error(ErrorCode::kDeviceNoCuda, "rope_backward: this build has no CUDA");
#endif
}

at::Tensor rope_backward_reference(const RopeHeads& grads, const at::Tensor& cos, const at::Tensor& sin) {
  const auto c = cos.chunk(2, -1), s = sin.chunk(2, -1);
  const auto turned = [&](const at::Tensor& grad) {
    const auto halves = grad.chunk(2, -1);
    return at::cat({halves[0] * c[0] + halves[1] * s[1], halves[1] * c[1] - halves[0] * s[0]}, -1);
  };
  return at::cat({turned(grads.q), turned(grads.keys), grads.values}).transpose(0, 1).flatten(1);
}

}  // namespace facellm
