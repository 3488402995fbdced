// How far apart the rows of a tensor begin, where a kernel can walk them by one stride.
#pragma once

#include <ATen/ATen.h>

#include <optional>

namespace facellm {

// For x [..., D]: elements between the begins of neighbouring rows; none where no one number says it, or rows are not
// contiguous. A slice of the last dimension has it; a transposed tensor has not.
inline std::optional<int64_t> row_stride(const at::Tensor& x) {
  const int64_t last = x.dim() - 1;
  if (last < 0 || (x.size(last) > 1 && x.stride(last) != 1)) return std::nullopt;
  // The strides of dimensions of one say nothing.
  std::optional<int64_t> stride;
  int64_t rows = 1;
  for (int64_t i = last - 1; i >= 0; --i) {
    if (x.size(i) == 1) continue;
    if (!stride) stride = x.stride(i);
    if (x.stride(i) != rows * *stride) return std::nullopt;
    rows *= x.size(i);
  }
  return stride.value_or(x.size(last));
}

}  // namespace facellm
