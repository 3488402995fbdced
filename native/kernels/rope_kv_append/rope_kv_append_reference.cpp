#include "kernels/rope_kv_append/rope_kv_append.h"

namespace facellm {
namespace {

// x [T, heads, E].
at::Tensor rotated_heads(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const auto halves = x.chunk(2, -1);
  return x * cos.unsqueeze(1) + at::cat({halves[1].neg(), halves[0]}, -1) * sin.unsqueeze(1);
}

// A row's slots mostly lie in line.
void append(const at::Tensor& pool, const at::Tensor& slots, const at::Tensor& heads) {
  const auto* slot = slots.const_data_ptr<int64_t>();
  const int64_t count = slots.size(0);
  for (int64_t i = 1; i < count; ++i) {
    if (slot[i] == slot[0] + i) continue;
    pool.index_copy_(1, slots, heads);
    return;
  }
  pool.narrow(1, slot[0], count).copy_(heads);
}

}  // namespace

at::Tensor rope_kv_append_reference(const at::Tensor& qkv, const at::Tensor& cos,
                                    const at::Tensor& sin, const at::Tensor& keys,
                                    const at::Tensor& values, const at::Tensor& slots,
                                    int64_t num_heads, int64_t num_kv_heads) {
  const int64_t tokens = qkv.size(0), head_dim = keys.size(2);
  const auto heads = qkv.view({tokens, num_heads + 2 * num_kv_heads, head_dim});
  // q and k turn by the same angles: one rotation over both.
  const auto rotated = rotated_heads(heads.narrow(1, 0, num_heads + num_kv_heads), cos, sin).transpose(0, 1);  // [H + K, T, E]
  if (tokens > 0) {
    append(keys, slots, rotated.narrow(0, num_heads, num_kv_heads));
    append(values, slots, heads.narrow(1, num_heads + num_kv_heads, num_kv_heads).transpose(0, 1));
  }
  return rotated.narrow(0, 0, num_heads);
}

}  // namespace facellm
