// Pillow's bicubic resampling, bit for bit: the training path's area limit uses it
// (docs/internvl3.md, sections 4.2, 4.5).
#pragma once

#include <cstdint>
#include <vector>

namespace facellm {

// pixels [height, width, 3] uint8 -> [out_height, out_width, 3] uint8.
std::vector<uint8_t> pillow_bicubic(const std::vector<uint8_t>& pixels, int64_t width,
                                    int64_t height, int64_t out_width, int64_t out_height);

}  // namespace facellm
