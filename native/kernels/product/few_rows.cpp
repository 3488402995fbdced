#include "kernels/product/few_rows.h"

#include "kernels/common/checks.h"
#include "kernels/common/cuda_launch.h"
#include "kernels/product/few_rows_cuda.h"

namespace facellm {
namespace {

bool is_plain(const at::Tensor& tensor, const at::Tensor& x) {
  return tensor.scalar_type() == at::kBFloat16 && tensor.device() == x.device() && tensor.is_contiguous() &&
         reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % 16 == 0;
}

const void* pointer(const at::Tensor& tensor) { return tensor.defined() ? tensor.const_data_ptr() : nullptr; }

// But for the number of columns.
bool takes(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (!x.is_cuda() || x.scalar_type() != at::kBFloat16 || x.numel() == 0 || needs_autograd({x, weight, bias})) return false;
  const int64_t in = x.size(-1);
  return x.numel() / in <= kMostFewRows && in % kFewRowsMultiple == 0 && weight.dim() == 2 && weight.size(1) == in &&
         is_plain(x, x) && is_plain(weight, x) && (!bias.defined() || (is_plain(bias, x) && bias.numel() == weight.size(0)));
}

// Few outputs of long rows: of W's rows each half by other lanes.
bool is_narrow(int64_t in, int64_t out) { return in > kMostFewRowsIn && in <= kMostNarrowIn && in % 64 == 0 && out <= kMostNarrowOut; }

void run(const at::Tensor& like, const FewRows& work) {
#if FACELLM_CUDA
  cuda_launch("few_rows_product", like, [&](cudaStream_t stream) { few_rows_cuda(work, stream); });
#else
  (void)like, (void)work;
  throw Error(ErrorCode::kDeviceNoCuda, "few_rows_product: this build has no CUDA");
#endif
}

FewRows work_of(const FewRowsInput& input, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& sum, FewRowsShape shape) {
  const FewRowsNorm norm{input.residual.const_data_ptr(), pointer(input.delta), input.weight.const_data_ptr(),
                         input.delta.defined() ? sum.mutable_data_ptr() : nullptr, static_cast<float>(input.eps)};
  return {nullptr, weight.const_data_ptr(), pointer(bias), nullptr, shape, norm, {}};
}

}  // namespace

bool takes_few_rows(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return takes(x, weight, bias) && (x.size(-1) <= kMostFewRowsIn || is_narrow(x.size(-1), weight.size(0)));
}

at::Tensor few_rows_product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  auto shape = x.sizes().vec();
  const int64_t in = x.size(-1), out = weight.size(0);
  shape.back() = out;
  const auto result = at::empty(shape, x.options());
  const auto outputs = is_narrow(in, out) ? FewRowsOutputs::kNarrow : FewRowsOutputs::kPlain;
  run(x, {x.const_data_ptr(), weight.const_data_ptr(), pointer(bias), result.mutable_data_ptr(), {x.numel() / in, in, out, outputs}, {}, {}});
  return result;
}

bool takes_few_rows_swiglu(const at::Tensor& x, const at::Tensor& weight) {
  return takes(x, weight, {}) && x.size(-1) <= kMostFewRowsIn && weight.size(0) % 2 == 0;
}

at::Tensor few_rows_swiglu(const at::Tensor& x, const at::Tensor& weight) {
  auto shape = x.sizes().vec();
  const int64_t in = x.size(-1), out = weight.size(0) / 2;
  shape.back() = out;
  const auto result = at::empty(shape, x.options());
  run(x, {x.const_data_ptr(), weight.const_data_ptr(), nullptr, result.mutable_data_ptr(),
          {x.numel() / in, in, out, FewRowsOutputs::kGated}, {}, {}});
  return result;
}

bool takes_few_rows_norm(const FewRowsInput& input, const at::Tensor& weight, const at::Tensor& bias) {
  const auto& x = input.residual;
  return takes(x, weight, bias) && x.dim() == 2 && x.size(0) <= kMostNormedRows && x.size(1) <= kMostFewRowsIn && is_plain(input.weight, x) &&
         input.weight.numel() == x.size(1) && !needs_autograd({input.delta, input.weight}) &&
         (!input.delta.defined() || (is_plain(input.delta, x) && input.delta.sizes() == x.sizes()));
}

FewRowsOutput few_rows_norm_swiglu(const FewRowsInput& input, const at::Tensor& weight) {
  const auto& x = input.residual;
  const int64_t out = weight.size(0) / 2;
  const auto sum = input.delta.defined() ? at::empty_like(x) : x, result = at::empty({x.size(0), out}, x.options());
  auto work = work_of(input, weight, {}, sum, {x.size(0), x.size(1), out, FewRowsOutputs::kGated});
  work.out = result.mutable_data_ptr();
  run(x, work);
  return {result, sum};
}

bool takes_few_rows_heads(const FewRowsInput& input, const at::Tensor& weight, const at::Tensor& bias, const FewRowsHeads& heads) {
  if (!takes_few_rows_norm(input, weight, bias)) return false;
  const auto& x = input.residual;
  const auto is_pool = [&](const at::Tensor& pool) {
    return pool.dim() == 3 && pool.size(0) == heads.num_kv_heads && pool.stride(2) == 1 && pool.scalar_type() == at::kBFloat16 &&
           pool.device() == x.device();
  };
  const int64_t head_dim = heads.keys.size(-1);
  return is_pool(heads.keys) && is_pool(heads.values) && heads.values.sizes() == heads.keys.sizes() && !needs_autograd({heads.keys, heads.values}) && head_dim % 16 == 0 &&
         weight.size(0) == (heads.num_heads + 2 * heads.num_kv_heads) * head_dim && is_plain(heads.cos, x) && is_plain(heads.sin, x) &&
         heads.cos.numel() == x.size(0) * head_dim && heads.sin.numel() == heads.cos.numel() && heads.slots.is_contiguous() &&
         heads.slots.scalar_type() == at::kLong && heads.slots.device() == x.device() && heads.slots.numel() == x.size(0);
}

FewRowsOutput few_rows_norm_heads(const FewRowsInput& input, const at::Tensor& weight, const at::Tensor& bias, const FewRowsHeads& heads) {
  const auto& x = input.residual;
  const int64_t rows = x.size(0), head_dim = heads.keys.size(2);
  const auto sum = input.delta.defined() ? at::empty_like(x) : x, q = at::empty({heads.num_heads, rows, head_dim}, x.options());
  auto work = work_of(input, weight, bias, sum, {rows, x.size(1), weight.size(0), FewRowsOutputs::kRotary});
  work.rotary = {heads.cos.const_data_ptr(),
                 heads.sin.const_data_ptr(),
                 heads.slots.const_data_ptr<int64_t>(),
                 q.mutable_data_ptr(),
                 heads.keys.mutable_data_ptr(),
                 heads.values.mutable_data_ptr(),
                 {rows,
                  heads.num_heads,
                  heads.num_kv_heads,
                  head_dim,
                  heads.keys.size(1),
                  {heads.keys.stride(0), heads.keys.stride(1)},
                  {heads.values.stride(0), heads.values.stride(1)}}};
  run(x, work);
  return {q, sum};
}

}  // namespace facellm
