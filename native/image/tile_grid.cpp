#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "image/limits.h"
#include "image/preprocess.h"

namespace facellm {

TileGrid choose_tile_grid(int64_t width, int64_t height, int64_t tile_size, int min_tiles,
                          int max_tiles) {
  check_image_size(width, height, "image");
  if (tile_size < 1 || min_tiles < 1 || max_tiles < min_tiles || max_tiles > kMostTiles) {
    throw Error(ErrorCode::kInvalidArgument,
                "tiles: expected 1 <= min <= max <= " + std::to_string(kMostTiles) + ", got " +
                    std::to_string(min_tiles) + ".." + std::to_string(max_tiles));
  }
  std::vector<TileGrid> candidates;
  for (int columns = 1; columns <= max_tiles; ++columns) {
    for (int rows = 1; columns * rows <= max_tiles; ++rows) {
      if (columns * rows >= min_tiles) candidates.push_back({columns, rows});
    }
  }
  std::stable_sort(candidates.begin(), candidates.end(), [](const TileGrid& a, const TileGrid& b) {
    return a.columns * a.rows < b.columns * b.rows;
  });
  const double aspect = static_cast<double>(width) / static_cast<double>(height);
  const double area = static_cast<double>(width) * static_cast<double>(height);
  TileGrid best;
  double best_difference = std::numeric_limits<double>::infinity();
  for (const auto& grid : candidates) {
    const double difference = std::abs(aspect - static_cast<double>(grid.columns) / grid.rows);
    const double tiled_area =
        static_cast<double>(tile_size) * static_cast<double>(tile_size) * grid.columns * grid.rows;
    // Equal fits: the larger grid wins only if the picture has pixels for at least half of it.
    if (difference < best_difference ||
        (difference == best_difference && area > 0.5 * tiled_area)) {
      best_difference = difference;
      best = grid;
    }
  }
  return best;
}

}  // namespace facellm
