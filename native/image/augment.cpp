#include "image/augment.h"

#include <algorithm>
#include <array>
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
  std::vector<int64_t> columns(static_cast<size_t>(change.width));  // of the picture, in bytes
  for (int64_t x = 0; x < change.width; ++x) {
    const int64_t from = change.flips ? change.width - 1 - x : x;
    columns[static_cast<size_t>(x)] = 3 * std::clamp<int64_t>(change.left + from, 0, width - 1);
  }
  std::vector<uint8_t> window(static_cast<size_t>(change.width * change.height * 3));
  auto* out = window.data();
  for (int64_t y = 0; y < change.height; ++y) {
    const auto* row = rgb.data() + std::clamp<int64_t>(change.top + y, 0, height - 1) * width * 3;
    for (const int64_t column : columns) out = std::copy_n(row + column, 3, out);
  }
  return window;
}

float bounded(float value) { return std::clamp(value, 0.0f, 255.0f); }

// Of ITU-R BT.601, as Pillow and torchvision have it.
template <typename Value>
Value luma(Value red, Value green, Value blue) {
  return static_cast<Value>(0.299) * red + static_cast<Value>(0.587) * green +
         static_cast<Value>(0.114) * blue;
}

// What brightness and contrast make of each value of a channel; contrast is a distance from the mean luma of the
// whole brightened window.
std::array<float, 256> value_table(const std::vector<uint8_t>& rgb, const Augmentation& change) {
  std::array<std::array<int64_t, 256>, 3> counts{};
  for (size_t i = 0; i < rgb.size(); i += 3) {
    for (size_t c = 0; c < 3; ++c) ++counts[c][rgb[i + c]];
  }
  std::array<float, 256> table;
  double sums[3] = {};
  for (size_t value = 0; value < 256; ++value) {
    table[value] = bounded(static_cast<float>(static_cast<double>(value) * change.brightness));
    for (size_t c = 0; c < 3; ++c) sums[c] += static_cast<double>(counts[c][value]) * table[value];
  }
  const double pixels = static_cast<double>(rgb.size()) / 3;
  const auto mean = static_cast<float>(luma(sums[0], sums[1], sums[2]) / pixels);
  const auto contrast = static_cast<float>(change.contrast);
  for (auto& value : table) value = bounded(mean + contrast * (value - mean));
  return table;
}

void change_colours(std::vector<uint8_t>& rgb, const Augmentation& change) {
  if (change.brightness == 1 && change.contrast == 1 && change.saturation == 1) return;
  const auto table = value_table(rgb, change);
  const auto saturation = static_cast<float>(change.saturation);
  for (size_t i = 0; i < rgb.size(); i += 3) {
    const float red = table[rgb[i]], green = table[rgb[i + 1]], blue = table[rgb[i + 2]];
    const float grey = luma(red, green, blue);
    const auto rounded = [&](float value) {  // nothing here is negative
      return static_cast<uint8_t>(bounded(grey + saturation * (value - grey)) + 0.5f);
    };
    rgb[i] = rounded(red);
    rgb[i + 1] = rounded(green);
    rgb[i + 2] = rounded(blue);
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
