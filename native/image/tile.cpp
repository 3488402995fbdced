// Resampling is PyTorch's uint8 bicubic kernel with antialiasing: what the reference's "fast" image
// processor runs on a CPU, bit for bit (docs/internvl3.md, section 4.5).
#include "image/tile.h"

#include "image/limits.h"

namespace facellm {
namespace {

// source [1, 3, h, w] uint8, channels last -> [1, 3, height, width], contiguous.
at::Tensor resize(const at::Tensor& source, int64_t width, int64_t height) {
  if (source.size(2) == height && source.size(3) == width) return source.contiguous();
  return at::_upsample_bicubic2d_aa(source, {height, width}, /*align_corners=*/false).contiguous();
}

}  // namespace

at::Tensor tile_image(const uint8_t* rgb, int64_t width, int64_t height, int64_t tile_size,
                      TileGrid grid, bool has_thumbnail) {
  check_image_size(width, height, "image");
  if (grid.columns < 1 || grid.rows < 1 || tile_size < 1 ||
      int64_t{grid.columns} * grid.rows > kMostTiles) {
    throw Error(ErrorCode::kInvalidArgument, "tiles: a grid of " + std::to_string(grid.columns) +
                                                 " x " + std::to_string(grid.rows) +
                                                 " is outside 1.." + std::to_string(kMostTiles));
  }
  check_image_size(tile_size * grid.columns, tile_size * grid.rows, "tiled image");
  // A view: [1, 3, h, w] in channels-last order over the caller's bytes, which are only read.
  const auto source = at::from_blob(const_cast<uint8_t*>(rgb), {1, 3, height, width},
                                    {height * width * 3, 1, width * 3, 3}, at::kByte);
  const auto whole = resize(source, tile_size * grid.columns, tile_size * grid.rows);
  const auto tiles = whole.view({3, grid.rows, tile_size, grid.columns, tile_size})
                         .permute({1, 3, 0, 2, 4})
                         .reshape({int64_t{grid.rows} * grid.columns, 3, tile_size, tile_size});
  if (!has_thumbnail) return tiles;
  return at::cat({tiles, resize(source, tile_size, tile_size)});
}

}  // namespace facellm
