// Products of a few rows on a GPU: what answering computes, a token at a time. W is read once, at the memory's pace.
#pragma once

#include <ATen/ATen.h>

namespace facellm {

// Whether the kernel serves this product: bf16 on CUDA, up to 16 rows of up to 1,024 columns, a multiple of 32, contiguous
// and aligned, nothing to be differentiated.
bool takes_few_rows(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {});

// As linear_product() (product.h): x [..., in], weight [out, in], bias [out] or undefined -> [..., out]. fp32 sums, one
// rounding after the bias. Only where takes_few_rows().
at::Tensor few_rows_product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);
// swiglu() of the product with a weight [2F, in] -> [..., F], each of swiglu()'s roundings once.
at::Tensor few_rows_swiglu(const at::Tensor& x, const at::Tensor& weight);

}  // namespace facellm
