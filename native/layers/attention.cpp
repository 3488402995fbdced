#include "layers/attention.h"

#include "kernels/cpu/cpu_attention.h"
#include "kernels/product/product.h"

namespace facellm {

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const at::Tensor& mask, bool is_causal) {
  const int64_t batch = q.size(0), heads = q.size(1), length = q.size(2), head_dim = q.size(3);
  const int64_t kv_heads = k.size(1);
  if (!mask.defined() && takes_cpu_attention(q, k, v, is_causal)) return cpu_attention(q, k, v, is_causal);
  if (is_causal && length != k.size(2)) return attention(q, k, v, causal_mask(length, k.size(2), q.device()), /*is_causal=*/false);
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
