// A picture cut into the tiles that the vision tower takes (docs/internvl3.md, sections 4.3, 4.4).
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "image/preprocess.h"

namespace facellm {

// rgb [height, width, 3] uint8 -> uint8 [N, 3, tile_size, tile_size] on the CPU: columns x rows tiles
// row by row, then the thumbnail. Throws kInvalidArgument, kImageTooLarge.
at::Tensor tile_image(const uint8_t* rgb, int64_t width, int64_t height, int64_t tile_size,
                      TileGrid grid, bool has_thumbnail);

}  // namespace facellm
