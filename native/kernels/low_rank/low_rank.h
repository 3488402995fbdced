// Low-rank additions to a layer's output, of several stacks of adapters in one pass: each group of rows has matrices of its own.
#pragma once

#include <ATen/ATen.h>

#include <span>
#include <vector>

namespace facellm {

// Of rows [begin, begin + count) of a layer: own += scaling * u B^T, where u are this part's columns of x A^T. Of DoRA, where
// `gain` is defined: own = (own - bias + scaling * u B^T) * gain + bias.
struct LowRankPart {
  int64_t begin, count;
  at::Tensor b;  // [rank, count], B^T; contiguous on a CPU, on a GPU a view of B for the kernel
  double scaling;
  at::Tensor gain;  // fp32 [count] or undefined
};

// What one stack adds to one layer; parts may meet, and work one after another.
struct LowRankMatrices {
  at::Tensor a;  // [sum of ranks, in], of all parts: x is read once
  std::vector<LowRankPart> parts;
};

struct LowRankGroup {
  const LowRankMatrices* matrices;
  int64_t begin, count;  // rows of x and out
};

// out [T, out], which holds a layer's own x W^T + bias, becomes that of the adapted layer, group by group; x [T, in], rows of
// any stride, bias [out] or undefined; all of one dtype, groups within T, one behind another. Throws kInvalidArgument. u is rounded to that dtype, and so is `own`
// after each part. Not differentiable.
// On a CPU in fp32 and bf16 groups of few rows, and all where `is_invariant`, are one pass, in which a row's bits depend on nothing
// but that row (kernels/cpu/row_kernels.h); is_invariant is refused elsewhere. On a GPU groups that takes_low_rank_on_gpu() are two kernels,
// of eight groups and their parts at a time, which a graph may hold, and whose rows depend on nothing else, either; matrices are read before
// the operation before this one has ended. Others go group by group by libtorch, whose sums follow from the number of rows.
void add_low_rank(const at::Tensor& out, const at::Tensor& x, const at::Tensor& bias, std::span<const LowRankGroup> groups,
                  bool is_invariant = false);

// The plain version, of one group over all rows.
void add_low_rank_reference(const at::Tensor& out, const at::Tensor& x, const at::Tensor& bias, const LowRankMatrices& matrices);

}  // namespace facellm
