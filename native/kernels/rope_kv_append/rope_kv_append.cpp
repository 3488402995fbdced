#include "kernels/rope_kv_append/rope_kv_append.h"

#include "kernels/common/checks.h"
#include "kernels/common/cuda_launch.h"
#include "kernels/rope_kv_append/rope_kv_append_cuda.h"

namespace facellm {
namespace {

void check(const at::Tensor& qkv, const at::Tensor& cos, const at::Tensor& sin,
           const at::Tensor& keys, const at::Tensor& values, const at::Tensor& starts,
           int64_t heads, int64_t kv_heads) {
  KernelChecks checks("rope_kv_append");
  checks.require_float(qkv, "qkv");
  checks.require(qkv.dim() == 3, "qkv: expected 3 dimensions");
  checks.require(keys.dim() == 4, "key_cache: expected 4 dimensions");
  checks.require(heads > 0 && kv_heads > 0 && heads % kv_heads == 0,
                 "num_heads: expected a multiple of num_kv_heads");
  checks.finish();
  const int64_t batch = qkv.size(0), length = qkv.size(1), head_dim = keys.size(3);
  checks.require(head_dim % 2 == 0, "key_cache: expected an even head size");
  checks.require_shape(qkv, {batch, length, (heads + 2 * kv_heads) * head_dim}, "qkv");
  checks.require(qkv.is_contiguous(), "qkv: expected a contiguous tensor");
  for (const auto& [table, name] : {std::pair(cos, "cos"), std::pair(sin, "sin")}) {
    checks.require_same(table, qkv, name);
    checks.require_shape(table, {batch, length, head_dim}, name);
  }
  for (const auto& [cache, name] : {std::pair(keys, "key_cache"), std::pair(values, "value_cache")}) {
    checks.require_same(cache, qkv, name);
    checks.require_shape(cache, {batch, kv_heads, keys.size(2), head_dim}, name);
    if (cache.dim() != 4 || cache.stride(3) != 1) {
      checks.add(std::string(name) + ": expected a contiguous last dimension");
    }
  }
  checks.require_shape(starts, {batch}, "starts");
  checks.require(starts.scalar_type() == at::kLong && starts.device() == qkv.device(),
                 "starts: expected int64 on the device of qkv");
  checks.require(!needs_autograd({qkv, keys, values}),
                 "qkv: writes in place, so no gradient can flow through it");
  if (starts.is_cpu() && starts.dim() == 1 && starts.size(0) == batch) {
    for (int64_t b = 0; b < batch; ++b) {
      const int64_t start = starts.const_data_ptr<int64_t>()[b];
      if (start >= 0 && start + length <= keys.size(2)) continue;
      checks.add("starts: row " + std::to_string(b) + " would write slots " + std::to_string(start) +
                 " to " + std::to_string(start + length - 1) + " of " + std::to_string(keys.size(2)));
    }
  }
  checks.finish();
}

#if FACELLM_CUDA
at::Tensor fused(const at::Tensor& qkv, const at::Tensor& cos, const at::Tensor& sin,
                 at::Tensor& keys, at::Tensor& values, const at::Tensor& starts, int64_t heads,
                 int64_t kv_heads) {
  const int64_t batch = qkv.size(0), length = qkv.size(1), head_dim = keys.size(3);
  const auto q = at::empty({batch, heads, length, head_dim}, qkv.options());
  if (q.numel() == 0) return q;
  const auto c = cos.contiguous(), s = sin.contiguous(), first = starts.contiguous();
  const RopeKvAppendShape shape{
      batch, length, heads, kv_heads, head_dim, keys.size(2),
      {keys.stride(0), keys.stride(1), keys.stride(2)},
      {values.stride(0), values.stride(1), values.stride(2)}};
  cuda_launch("rope_kv_append", qkv, [&](cudaStream_t stream) {
    rope_kv_append_cuda(qkv.const_data_ptr(), c.const_data_ptr(), s.const_data_ptr(),
                        first.const_data_ptr<int64_t>(), q.mutable_data_ptr(),
                        keys.mutable_data_ptr(), values.mutable_data_ptr(), shape,
                        qkv.scalar_type() == at::kBFloat16, stream);
  });
  return q;
}
#endif

}  // namespace

at::Tensor rope_kv_append(const at::Tensor& qkv, const at::Tensor& cos, const at::Tensor& sin,
                          at::Tensor& key_cache, at::Tensor& value_cache, const at::Tensor& starts,
                          int64_t num_heads, int64_t num_kv_heads) {
  check(qkv, cos, sin, key_cache, value_cache, starts, num_heads, num_kv_heads);
  if (qkv.is_cuda()) {
#if FACELLM_CUDA
    return fused(qkv, cos, sin, key_cache, value_cache, starts, num_heads, num_kv_heads);
#else
    throw Error(ErrorCode::kDeviceNoCuda, "rope_kv_append: this build has no CUDA");
#endif
  }
  return rope_kv_append_reference(qkv, cos, sin, key_cache, value_cache, starts, num_heads,
                                  num_kv_heads);
}

}  // namespace facellm
