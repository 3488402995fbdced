// uint8 tiles to pixel values (docs/internvl3.md, section 4.6).
#pragma once

#include <ATen/ATen.h>

namespace facellm {

// What a picture's channels are moved and divided by: fp32 [1, 3, 1, 1] on a device.
struct ChannelScale {
  at::Tensor mean, std;
};
// mean / f and std / f with f the rescale factor, rounded to fp32, as the reference does.
ChannelScale channel_scale(const double mean[3], const double std[3], double rescale_factor, at::Device device);

// tiles uint8 [N, 3, S, S] on any device -> fp32 [N, 3, S, S] on it: (u8 - mean / f) / (std / f).
at::Tensor normalise(const at::Tensor& tiles, const ChannelScale& scale);
at::Tensor normalise(const at::Tensor& tiles, const double mean[3], const double std[3], double rescale_factor);

}  // namespace facellm
