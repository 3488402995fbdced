// Tiles into the rows that a vision transformer's patch projection takes (docs/internvl3.md, sections 4.6 and 5).
#pragma once

#include <ATen/ATen.h>

#include "kernels/patchify/channel_scale.h"

namespace facellm {

// tiles uint8 [N, 3, S, S], S a multiple of `patch` -> [N, (S / patch)^2, 3 * patch * patch] of `dtype`: patches row by row, in each its
// channels, in each of those its pixels row by row. Values are round((u8 - mean) / std), in fp32 before they are rounded. Throws
// kInvalidArgument. One pass in fp32 and bf16, on CUDA (patches of up to 128) and on a CPU; else the plain version. Bytes have no gradient.
at::Tensor patchify(const at::Tensor& tiles, const ChannelScale& scale, int64_t patch, at::ScalarType dtype);

// The plain version, the reference of every other, and what it cuts: pixel values, fp32 [N, 3, S, S].
at::Tensor patchify_reference(const at::Tensor& tiles, const ChannelScale& scale, int64_t patch, at::ScalarType dtype);
at::Tensor normalise(const at::Tensor& tiles, const ChannelScale& scale);

}  // namespace facellm
