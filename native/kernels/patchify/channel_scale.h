// What the channels of a picture are moved and divided by (docs/internvl3.md, section 4.6). Torch-free.
#pragma once

namespace facellm {

struct ChannelScale {
  float mean[3], std[3];
};

// mean / f and std / f with f the rescale factor, rounded to fp32 as the reference does: it multiplies fp32 numbers by the inverse.
inline ChannelScale channel_scale(const double mean[3], const double std[3], double rescale_factor) {
  const float inverse = static_cast<float>(1.0 / rescale_factor);
  ChannelScale scale{};
  for (int c = 0; c < 3; ++c) {
    scale.mean[c] = static_cast<float>(mean[c]) * inverse;
    scale.std[c] = static_cast<float>(std[c]) * inverse;
  }
  return scale;
}

}  // namespace facellm
