#include "image/augment.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "image/limits.h"

namespace facellm {
namespace {

void check(int64_t width, int64_t height, const Augmentation& change) {
  check_image_size(change.width, change.height, "window");
  std::vector<std::string> problems;
  if (change.left >= width || change.top >= height || change.left + change.width <= 0 ||
      change.top + change.height <= 0) {
    problems.push_back("the window lies outside the picture of " + std::to_string(width) + " x " +
                       std::to_string(height));
  }
  for (const double factor : {change.brightness, change.contrast, change.saturation}) {
    if (!(factor >= 0) || !std::isfinite(factor)) {
      problems.push_back("expected brightness, contrast and saturation of at least 0, got " +
                         std::to_string(factor));
    }
  }
  if (!problems.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "the augmentation is malformed", std::move(problems));
  }
}

std::vector<uint8_t> cut_window(const std::vector<uint8_t>& rgb, int64_t width, int64_t height,
                                const Augmentation& change) {
  std::vector<uint8_t> window(static_cast<size_t>(change.width * change.height * 3));
  auto* out = window.data();
  for (int64_t y = 0; y < change.height; ++y) {
    const auto row = std::clamp<int64_t>(change.top + y, 0, height - 1) * width;
    for (int64_t x = 0; x < change.width; ++x) {
      const int64_t from = change.flips ? change.width - 1 - x : x;
      const auto column = std::clamp<int64_t>(change.left + from, 0, width - 1);
      out = std::copy_n(rgb.data() + (row + column) * 3, 3, out);
    }
  }
  return window;
}

double bounded(double value) { return std::clamp(value, 0.0, 255.0); }

// Of ITU-R BT.601, as Pillow and torchvision have it.
double luma(double red, double green, double blue) {
  return 0.299 * red + 0.587 * green + 0.114 * blue;
}

// Contrast is a distance from the mean brightness of the whole window.
double mean_luma(const std::vector<uint8_t>& rgb, double brightness) {
  double sum = 0;
  for (size_t i = 0; i < rgb.size(); i += 3) {
    sum += luma(bounded(rgb[i] * brightness), bounded(rgb[i + 1] * brightness),
                bounded(rgb[i + 2] * brightness));
  }
  return sum / (static_cast<double>(rgb.size()) / 3);
}

void change_colours(std::vector<uint8_t>& rgb, const Augmentation& change) {
  if (change.brightness == 1 && change.contrast == 1 && change.saturation == 1) return;
  const double mean = mean_luma(rgb, change.brightness);
  for (size_t i = 0; i < rgb.size(); i += 3) {
    double values[3];
    for (size_t c = 0; c < 3; ++c) {
      values[c] = bounded(mean + change.contrast * (bounded(rgb[i + c] * change.brightness) - mean));
    }
    const double grey = luma(values[0], values[1], values[2]);
    for (size_t c = 0; c < 3; ++c) {
      // Rounded to the nearest: nothing here is negative.
      rgb[i + c] = static_cast<uint8_t>(bounded(grey + change.saturation * (values[c] - grey)) + 0.5);
    }
  }
}

}  // namespace

std::vector<uint8_t> augment(const std::vector<uint8_t>& rgb, int64_t width, int64_t height,
                             const Augmentation& change) {
  check_pixels(rgb, width, height);
  check(width, height, change);
  auto window = cut_window(rgb, width, height, change);
  change_colours(window, change);
  return window;
}

}  // namespace facellm
