// Matrix products: the one place where weights meet activations, so that what a processor is slow at is mended once.
// On a CPU without fast products of bf16 (core/cpu_level.h) bf16 matrices of kWidenedRows rows and more are widened
// block by block, multiplied in fp32 and rounded once, as libtorch's own products round.
#pragma once

#include <ATen/ATen.h>

namespace facellm {

// From this many rows on. One row reads W as fast as memory gives it without; eight are on a par.
constexpr int64_t kWidenedRows = 64;

// Whether products of x are slow in its own dtype here: bf16 on a CPU without hardware for it.
bool has_slow_products(const at::Tensor& x);
// Rows of a product that are a multiple of so many each follow, bit for bit, from their own values alone, not from how
// many stand beside them or where (measured: docs/numerics.md).
int64_t invariant_row_multiple(const at::TensorOptions& options);
// x [T, ...] as its first rows, zeros behind, up to a multiple of rows.
at::Tensor fill_rows(const at::Tensor& x, int64_t multiple);
// x [..., in], weight [out, in], bias [out] or undefined -> x W^T + b, [..., out], rounded once, after the bias.
// Differentiable in all three.
at::Tensor linear_product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {});
// a [M, K] b [K, N] -> [M, N]. Not differentiable: for hand-written backward passes.
at::Tensor product(const at::Tensor& a, const at::Tensor& b);
// out [M, N] (of any strides) += scale * a b, rounded once. Not differentiable.
void add_product(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, double scale);

// The widened path alone, whatever the processor: out = beta * out + scale * a b + bias, where `bias` [N] may be
// undefined. All bf16 on the CPU, any strides; fp32 in between lives in one scratch a thread, 56 MiB at most.
void widened_product(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias,
                     double beta, double scale);
// linear_product() by the widened path alone, forward and backward.
at::Tensor widened_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

}  // namespace facellm
