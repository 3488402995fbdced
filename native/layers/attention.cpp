#include "layers/attention.h"

#include <torch/csrc/autograd/custom_function.h>

#include "kernels/common/checks.h"
#include "kernels/cpu/cpu_attention.h"
#include "kernels/product/product.h"

namespace facellm {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// cpu_attention() with gradients, whose kernel is libtorch's: it starts from the result and its log-sums alone.
struct CpuAttentionWithGradients : torch::autograd::Function<CpuAttentionWithGradients> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool is_causal) {
    at::Tensor log_sums;
    const auto out = cpu_attention(q, k, v, is_causal, &log_sums);
    context->save_for_backward({q, k, v, out, log_sums});
    context->saved_data["is_causal"] = is_causal;
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    auto saved = context->get_saved_variables();
    const auto dtype = saved[0].scalar_type();
    auto grad = grads[0];
    if (has_slow_products(saved[0])) {
      for (size_t i = 0; i < 4; ++i) saved[i] = saved[i].to(at::kFloat);
      grad = grad.to(at::kFloat);
    }
    const auto &q = saved[0], &k = saved[1], &v = saved[2];
    const int64_t group = q.size(1) / k.size(1);
    const auto heads_first = [&](const at::Tensor& x) { return x.unflatten(-1, {q.size(1), q.size(3)}).transpose(1, 2); };
    const auto repeated = [&](const at::Tensor& x) { return group == 1 ? x : x.repeat_interleave(group, 1); };
    const auto [dq, dk, dv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
        heads_first(grad), q, repeated(k), repeated(v), heads_first(saved[3]), saved[4], /*dropout_p=*/0.0,
        context->saved_data["is_causal"].toBool());
    const auto of_group = [&](const at::Tensor& x) { return (group == 1 ? x : x.unflatten(1, {k.size(1), group}).sum(2)).to(dtype); };
    return {dq.to(dtype), of_group(dk), of_group(dv), at::Tensor()};
  }
};

}  // namespace

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const at::Tensor& mask, bool is_causal) {
  const int64_t batch = q.size(0), heads = q.size(1), length = q.size(2), head_dim = q.size(3);
  const int64_t kv_heads = k.size(1);
  const bool is_chunk = is_causal && length != k.size(2);
  const bool has_gradients = needs_autograd({q, k, v});
  if (!mask.defined() && !(is_chunk && has_gradients) && takes_cpu_attention(q, k, v, is_causal)) {
    return has_gradients ? CpuAttentionWithGradients::apply(q, k, v, is_causal) : cpu_attention(q, k, v, is_causal);
  }
  if (is_chunk) return attention(q, k, v, causal_mask(length, k.size(2), q.device()), /*is_causal=*/false);
  if (length >= kWidenedRows && has_slow_products(q)) {
    const auto wide = [](const at::Tensor& x) { return x.to(at::kFloat); };
    return attention(wide(q), wide(k), wide(v), mask, is_causal).to(q.scalar_type());
  }
  const c10::optional<at::Tensor> bias = mask.defined() ? c10::make_optional(mask) : c10::nullopt;
  if (length == 1 && heads != kv_heads) {
    // One query: the heads of a group become the rows of one attention, so that neither keys nor
    // values are repeated H / K times in memory.
    const auto grouped = q.view({batch, kv_heads, heads / kv_heads, head_dim});
    const auto out = at::scaled_dot_product_attention(grouped, k, v, bias, 0.0, false);
    return out.reshape({batch, 1, heads * head_dim});
  }
  const auto out = at::scaled_dot_product_attention(q, k, v, bias, 0.0, is_causal, c10::nullopt,
                                                    heads != kv_heads);
  return out.transpose(1, 2).reshape({batch, length, heads * head_dim});
}

at::Tensor causal_mask(int64_t count, int64_t length, at::Device device) {
  const auto tokens = at::arange(length, at::TensorOptions(at::kLong).device(device));
  return tokens.unsqueeze(0) <= tokens.narrow(0, length - count, count).unsqueeze(1);
}

}  // namespace facellm
