#include "image/preprocess.h"

#include "image/limits.h"
#include "image/pillow_resize.h"
#include "image/tile.h"

namespace facellm {

std::vector<uint8_t> tile_pixels(const std::vector<uint8_t>& rgb, int64_t width, int64_t height,
                                 int64_t tile_size, TileGrid grid, bool has_thumbnail) {
  check_pixels(rgb, width, height);
  const auto tiles = tile_image(rgb.data(), width, height, tile_size, grid, has_thumbnail);
  const auto* data = tiles.const_data_ptr<uint8_t>();
  return {data, data + tiles.numel()};
}

std::vector<uint8_t> resize_pillow(const std::vector<uint8_t>& rgb, int64_t width, int64_t height,
                                   int64_t out_width, int64_t out_height) {
  check_pixels(rgb, width, height);
  check_image_size(out_width, out_height, "resized image");
  return pillow_bicubic(rgb, width, height, out_width, out_height);
}

}  // namespace facellm
