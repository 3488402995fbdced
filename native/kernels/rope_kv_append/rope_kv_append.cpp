#include "kernels/rope_kv_append/rope_kv_append.h"

#include "kernels/common/checks.h"
#include "kernels/common/cuda_launch.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/row_work.h"
#include "kernels/rope_kv_append/rope_kv_append_cuda.h"

namespace facellm {
namespace {

void check(const at::Tensor& qkv, const at::Tensor& cos, const at::Tensor& sin,
           const at::Tensor& keys, const at::Tensor& values, const at::Tensor& slots,
           int64_t heads, int64_t kv_heads) {
  KernelChecks checks("rope_kv_append");
  checks.require_float(qkv, "qkv");
  checks.require(qkv.dim() == 2, "qkv: expected 2 dimensions");
  checks.require(keys.dim() == 3, "keys: expected 3 dimensions");
  checks.require(heads > 0 && kv_heads > 0 && heads % kv_heads == 0,
                 "num_heads: expected a multiple of num_kv_heads");
  checks.finish();
  const int64_t tokens = qkv.size(0), head_dim = keys.size(2);
  checks.require(head_dim % 2 == 0, "keys: expected an even head size");
  checks.require_shape(qkv, {tokens, (heads + 2 * kv_heads) * head_dim}, "qkv");
  checks.require(qkv.is_contiguous(), "qkv: expected a contiguous tensor");
  for (const auto& [table, name] : {std::pair(cos, "cos"), std::pair(sin, "sin")}) {
    checks.require_same(table, qkv, name);
    checks.require_shape(table, {tokens, head_dim}, name);
  }
  for (const auto& [pool, name] : {std::pair(keys, "keys"), std::pair(values, "values")}) {
    checks.require_same(pool, qkv, name);
    checks.require_shape(pool, {kv_heads, keys.size(1), head_dim}, name);
    if (pool.dim() != 3 || pool.stride(2) != 1) {
      checks.add(std::string(name) + ": expected a contiguous last dimension");
    }
  }
  checks.require_shape(slots, {tokens}, "slots");
  checks.require(slots.scalar_type() == at::kLong && slots.device() == qkv.device() && slots.is_contiguous(),
                 "slots: expected contiguous int64 on the device of qkv");
  checks.require(!needs_autograd({qkv, keys, values}),
                 "qkv: writes in place, so no gradient can flow through it");
  checks.finish();
  if (!slots.is_cpu()) return;
  for (int64_t t = 0; t < tokens; ++t) {
    const int64_t slot = slots.const_data_ptr<int64_t>()[t];
    if (slot >= 0 && slot < keys.size(1)) continue;
    checks.add("slots: token " + std::to_string(t) + " would be written to slot " + std::to_string(slot) + " of " +
               std::to_string(keys.size(1)));
  }
  checks.finish();
}

at::Tensor fused(const at::Tensor& qkv, const at::Tensor& cos, const at::Tensor& sin,
                 const at::Tensor& keys, const at::Tensor& values, const at::Tensor& slots, int64_t heads,
                 int64_t kv_heads) {
  const int64_t tokens = qkv.size(0), head_dim = keys.size(2);
  const auto q = at::empty({heads, tokens, head_dim}, qkv.options());
  if (q.numel() == 0) return q;
  const auto c = cos.contiguous(), s = sin.contiguous();
  if (qkv.is_cpu()) {
    const RopeRows job{qkv.const_data_ptr(),
                       c.const_data_ptr(),
                       s.const_data_ptr(),
                       slots.const_data_ptr<int64_t>(),
                       q.mutable_data_ptr(),
                       keys.mutable_data_ptr(),
                       values.mutable_data_ptr(),
                       tokens,
                       heads,
                       kv_heads,
                       head_dim,
                       keys.stride(0),
                       keys.stride(1),
                       values.stride(0),
                       values.stride(1),
                       qkv.scalar_type() == at::kBFloat16};
    for_rows(tokens * kv_heads, qkv.size(1) / kv_heads, [&](int64_t begin, int64_t end) { row_kernels().rope_append(&job, begin, end); });
    return q;
  }
#if FACELLM_CUDA
  const RopeKvAppendShape shape{tokens,
                                heads,
                                kv_heads,
                                head_dim,
                                keys.size(1),
                                {keys.stride(0), keys.stride(1)},
                                {values.stride(0), values.stride(1)}};
  cuda_launch("rope_kv_append", qkv, [&](cudaStream_t stream) {
    rope_kv_append_cuda(qkv.const_data_ptr(), c.const_data_ptr(), s.const_data_ptr(),
                        slots.const_data_ptr<int64_t>(), q.mutable_data_ptr(),
                        keys.mutable_data_ptr(), values.mutable_data_ptr(), shape,
                        qkv.scalar_type() == at::kBFloat16, stream);
  });
  return q;
#else
  throw Error(ErrorCode::kDeviceNoCuda, "rope_kv_append: this build has no CUDA");
#endif
}

}  // namespace

at::Tensor rope_kv_append(const at::Tensor& qkv, const at::Tensor& cos, const at::Tensor& sin,
                          const at::Tensor& keys, const at::Tensor& values, const at::Tensor& slots,
                          int64_t num_heads, int64_t num_kv_heads) {
  check(qkv, cos, sin, keys, values, slots, num_heads, num_kv_heads);
  if (qkv.is_cuda() || takes_row_kernels(qkv)) return fused(qkv, cos, sin, keys, values, slots, num_heads, num_kv_heads);
  return rope_kv_append_reference(qkv, cos, sin, keys, values, slots, num_heads, num_kv_heads);
}

}  // namespace facellm
