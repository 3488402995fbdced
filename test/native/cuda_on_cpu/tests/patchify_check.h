// patchify_cuda.cu's numbers by a scalar reference: each pixel looked up where it lies, the quotient rounded once.
#pragma once

#include <vector>

#include "comparison.h"

namespace facellm {

// All bytes come, in no order that lines share.
inline cuda_on_cpu::Buffer<uint8_t> byte_noise(int64_t count, const char* name) {
  static std::mt19937 generator(2);
  cuda_on_cpu::Buffer<uint8_t> made(static_cast<size_t>(count), name);
  for (auto& x : made) x = static_cast<uint8_t>(generator());
  return made;
}

// `launcher`: patchify_cuda, or another that claims to do the same. `shift`: elements that lie before tiles and before what is written.
template <typename T, typename Launcher>
Comparison check_patchify(Launcher launcher, int64_t tiles, int64_t side, int64_t patch, int64_t shift = 0) {
  const int64_t size = side * patch, row = 3 * patch * patch, count = tiles * side * side;
  auto pixels = byte_noise(count * row + shift, "tiles");
  cuda_on_cpu::Buffer<T> out(static_cast<size_t>(count * row + shift), "out");
  // 255 times those of ImageNet, as the reference rounds them.
  constexpr float kMean[] = {123.675f, 116.28f, 103.53f}, kStd[] = {58.395f, 57.12f, 57.375f};
  launcher(pixels.data() + shift, out.data() + shift, {tiles, side, patch}, {{kMean[0], kMean[1], kMean[2]}, {kStd[0], kStd[1], kStd[2]}},
           is_bf16<T>, nullptr);
  Comparison comparison;
  for (int64_t p = 0; p < count; ++p) {
    const int64_t tile = p / (side * side), top = p / side % side * patch, left = p % side * patch;
    for (int64_t i = 0; i < row; ++i) {
      const int64_t channel = i / (patch * patch), y = top + i / patch % patch, x = left + i % patch;
      const uint8_t byte = pixels[static_cast<size_t>(shift + ((tile * 3 + channel) * size + y) * size + x)];
      const float value = (static_cast<float>(byte) - kMean[channel]) / kStd[channel];
      comparison.add(out[static_cast<size_t>(shift + p * row + i)], narrow<T>(value), tiles, "tiles of", side, "patches of", patch, "patch", p,
                     "element", i);
    }
  }
  return comparison;
}

// Tiles whose lines are read and whose rows are written 16 bytes at a time and such where neither is; patches that fill a block of
// eight, that do not, and of which there are fewer; one tile and several.
template <typename Launcher>
Comparison check_patchify_shapes(Launcher launcher) {
  Comparison all;
  const auto both = [&](int64_t tiles, int64_t side, int64_t patch) {
    all.add(check_patchify<float>(launcher, tiles, side, patch));
    all.add(check_patchify<__nv_bfloat16>(launcher, tiles, side, patch));
  };
  both(1, 8, 14);   // the towers' patch: a line of a whole block
  both(1, 4, 14);   // of the tiny models: bytes in, 16 bytes out
  both(2, 16, 2);   // two blocks a line
  both(1, 12, 4);   // a last block that is half full
  both(2, 9, 2);    // a last block of one patch, bytes in
  both(3, 3, 5);    // odd all over
  both(2, 5, 1);    // patches of a pixel: a step of eight crosses three
  both(2, 1, 7);
  return all;
}

}  // namespace facellm
