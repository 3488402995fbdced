// uint8 tiles to pixel values (docs/internvl3.md, section 4.6).
#pragma once

#include <ATen/ATen.h>

namespace facellm {

// tiles uint8 [N, 3, S, S] on any device -> fp32 [N, 3, S, S] on it: (u8 - mean / f) / (std / f) with
// f the rescale factor and both quotients rounded to fp32 first, as the reference does.
at::Tensor normalise(const at::Tensor& tiles, const double mean[3], const double std[3],
                     double rescale_factor);

}  // namespace facellm
