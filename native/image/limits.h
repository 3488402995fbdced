// Bounds on what is asked of the image room, checked before anything is allocated.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/error.h"

namespace facellm {

// Pillow's own decompression-bomb limit.
constexpr int64_t kMostPixels = 178'956'970;
constexpr int64_t kMostTiles = 4096;

inline void check_image_size(int64_t width, int64_t height, const char* what) {
  const std::string size = std::to_string(width) + " x " + std::to_string(height);
  if (width < 1 || height < 1) {
    throw Error(ErrorCode::kInvalidArgument,
                std::string(what) + ": expected at least 1 x 1 pixel, got " + size);
  }
  if (width > kMostPixels / height) {
    throw Error(ErrorCode::kImageTooLarge, std::string(what) + " of " + size + " pixels is over the limit of " +
                                               std::to_string(kMostPixels) + "; shrink it first");
  }
}

// Whether the bytes are a picture of that size, [height, width, 3].
inline void check_pixels(const std::vector<uint8_t>& rgb, int64_t width, int64_t height) {
  check_image_size(width, height, "image");
  const auto expected = static_cast<size_t>(width * height * 3);
  if (rgb.size() != expected) {
    throw Error(ErrorCode::kInvalidArgument,
                "image of " + std::to_string(width) + " x " + std::to_string(height) +
                    ": expected " + std::to_string(expected) + " bytes of RGB, got " +
                    std::to_string(rgb.size()));
  }
}

}  // namespace facellm
