// Pixels to tiles, torch-free face for the binding (docs/internvl3.md, section 4).
#pragma once

#include <cstdint>
#include <vector>

namespace facellm {

// What the vision tower encodes in one go. Activations of one tile at the 1B's sizes take about 60 MB;
// sixteen keep a GPU busy.
constexpr int64_t kTilesAtOnce = 16;

struct TileGrid {
  int columns = 1;
  int rows = 1;
};

// The grid whose aspect ratio is closest to the image's (section 4.3). Sizes in pixels, at least 1.
TileGrid choose_tile_grid(int64_t width, int64_t height, int64_t tile_size, int min_tiles,
                          int max_tiles);

// The resized tiles as uint8 [N, 3, tile_size, tile_size], thumbnail last (sections 4.4, 4.5).
std::vector<uint8_t> tile_pixels(const std::vector<uint8_t>& rgb, int64_t width, int64_t height,
                                 int64_t tile_size, TileGrid grid, bool has_thumbnail);

// Area limit of the training path: Pillow's bicubic to (out_width, out_height), bit-exact, 22-bit
// fixed point. In and out are [h, w, 3] uint8.
std::vector<uint8_t> resize_pillow(const std::vector<uint8_t>& rgb, int64_t width, int64_t height,
                                   int64_t out_width, int64_t out_height);

}  // namespace facellm
