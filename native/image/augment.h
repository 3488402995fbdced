// Random changes of a picture for training. What is drawn is TypeScript's; here is only what it means.
#pragma once

#include <cstdint>
#include <vector>

namespace facellm {

struct Augmentation {
  // The part that is seen, in pixels of the picture; it may reach over the edges.
  int64_t left, top, width, height;
  bool flips;
  // Factors, 1: unchanged. As torchvision's ColorJitter applies them, in this order, rounded once at the end.
  double brightness, contrast, saturation;
};

// The window as a picture of its own, uint8 [window height, window width, 3]; beyond the edges the nearest pixel
// is repeated. Throws kInvalidArgument for a window of less than one pixel, one that lies outside altogether, and
// factors below 0; kImageTooLarge as check_image_size.
std::vector<uint8_t> augment(const std::vector<uint8_t>& rgb, int64_t width, int64_t height,
                             const Augmentation& change);

}  // namespace facellm
