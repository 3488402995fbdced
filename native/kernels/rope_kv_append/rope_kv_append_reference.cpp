#include "kernels/rope_kv_append/rope_kv_append.h"

namespace facellm {

at::Tensor apply_rotary(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const auto halves = x.chunk(2, -1);
  const auto rotated = at::cat({halves[1].neg(), halves[0]}, -1);
  return x * cos.unsqueeze(2) + rotated * sin.unsqueeze(2);
}

at::Tensor rope_kv_append_reference(const at::Tensor& qkv, const at::Tensor& cos,
                                    const at::Tensor& sin, at::Tensor& key_cache,
                                    at::Tensor& value_cache, const at::Tensor& starts,
                                    int64_t num_heads, int64_t num_kv_heads) {
  const int64_t batch = qkv.size(0), length = qkv.size(1), head_dim = key_cache.size(3);
  const auto heads = qkv.view({batch, length, num_heads + 2 * num_kv_heads, head_dim});
  // q and k turn by the same angles: one rotation over both.
  const auto rotated = apply_rotary(heads.narrow(2, 0, num_heads + num_kv_heads), cos, sin);
  const auto k = rotated.narrow(2, num_heads, num_kv_heads).transpose(1, 2);  // [B, K, T, E]
  const auto v = heads.narrow(2, num_heads + num_kv_heads, num_kv_heads).transpose(1, 2);
  const auto host_starts = starts.cpu();
  const int64_t* start = host_starts.const_data_ptr<int64_t>();
  for (int64_t b = 0; b < batch; ++b) {
    key_cache[b].narrow(1, start[b], length).copy_(k[b]);
    value_cache[b].narrow(1, start[b], length).copy_(v[b]);
  }
  return rotated.narrow(2, 0, num_heads).transpose(1, 2);
}

}  // namespace facellm
