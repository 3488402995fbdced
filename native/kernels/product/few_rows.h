// Products of a few rows on a GPU: what answering computes, a token at a time. W is read once, at the memory's pace, and what stands
// before and behind a product is part of it where that saves a kernel.
#pragma once

#include <ATen/ATen.h>

namespace facellm {

// Whether the kernel serves this product: bf16 on CUDA, up to 16 rows of up to 1,024 columns, a multiple of 32, or of up to 8,192
// where there are 1,024 outputs at most, a multiple of 64; contiguous and aligned, nothing to be differentiated.
bool takes_few_rows(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {});

// W is read before the operation before this one has ended: it is a model's own, not what that operation makes.
// As linear_product() (product.h): x [..., in], weight [out, in], bias [out] or undefined -> [..., out]. fp32 sums, one
// rounding after the bias. Only where takes_few_rows().
at::Tensor few_rows_product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);
// swiglu() of the product with a weight [2F, in] -> [..., F], each of swiglu()'s roundings once; of up to 1,024 columns.
bool takes_few_rows_swiglu(const at::Tensor& x, const at::Tensor& weight);
at::Tensor few_rows_swiglu(const at::Tensor& x, const at::Tensor& weight);

// RMSNorm of residual + delta (add_rms_norm.h), before a product.
struct FewRowsInput {
  const at::Tensor& residual;  // [R, in]
  const at::Tensor& delta;     // [R, in] or undefined
  const at::Tensor& weight;    // [in]
  double eps;
};

struct FewRowsOutput {
  at::Tensor out;
  at::Tensor residual;  // [R, in], residual + delta
};

// Whether a product may begin with that norm: up to eight rows of up to 1,024 columns.
bool takes_few_rows_norm(const FewRowsInput& input, const at::Tensor& weight, const at::Tensor& bias = {});

// few_rows_swiglu() of the normalised rows. The same bits as add_rms_norm() and it.
FewRowsOutput few_rows_norm_swiglu(const FewRowsInput& input, const at::Tensor& weight);

// Where rope_kv_append() takes queries, keys and values to; the arguments are its own.
struct FewRowsHeads {
  const at::Tensor &cos, &sin, &keys, &values, &slots;
  int64_t num_heads, num_kv_heads;
};

// Whether qkv may be rotated where it is made: bf16 pools whose last dimension is contiguous, heads of a multiple of 16.
bool takes_few_rows_heads(const FewRowsInput& input, const at::Tensor& weight, const at::Tensor& bias, const FewRowsHeads& heads);

// add_rms_norm(), the product and rope_kv_append(): out is the rotated q [H, R, E]. The same bits as those three.
FewRowsOutput few_rows_norm_heads(const FewRowsInput& input, const at::Tensor& weight, const at::Tensor& bias, const FewRowsHeads& heads);

}  // namespace facellm
