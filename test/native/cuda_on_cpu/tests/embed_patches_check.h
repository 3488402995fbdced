// embed_patches_cuda.cu's numbers by a scalar reference: each sum rounded once.
#pragma once

#include "comparison.h"

namespace facellm {

// `launcher`: embed_patches_cuda, or another that claims to do the same. `shift`: elements that lie before the patches.
template <typename T, typename Launcher>
Comparison check_embed_patches(Launcher launcher, int64_t tiles, int64_t count, int64_t size, int64_t shift = 0) {
  auto patches = noise<T>(tiles * count * size + shift, "patches"), token = noise<T>(size, "class_token");
  auto positions = noise<T>((count + 1) * size, "positions");
  cuda_on_cpu::Buffer<T> out(static_cast<size_t>(tiles * (count + 1) * size), "out");
  launcher(patches.data() + shift, token.data(), positions.data(), out.data(), tiles, count, size, is_bf16<T>, nullptr);
  Comparison comparison;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    for (int64_t p = 0; p <= count; ++p) {
      for (int64_t i = 0; i < size; ++i) {
        const T x = p == 0 ? token[static_cast<size_t>(i)] : patches[static_cast<size_t>(shift + (tile * count + p - 1) * size + i)];
        const float sum = wide(x) + wide(positions[static_cast<size_t>(p * size + i)]);
        comparison.add(out[static_cast<size_t>((tile * (count + 1) + p) * size + i)], narrow<T>(sum), "tile", tile, "of", count, "x", size,
                       "row", p, "element", i);
      }
    }
  }
  return comparison;
}

// One thread an element or eight, 256 a block: beside a warp and a block; a tile's end in the midst of one.
template <typename Launcher>
Comparison check_embed_patches_shapes(Launcher launcher) {
  Comparison all;
  for (const int64_t size : {1, 8, 31, 64, 123, 256, 520}) {
    for (const int64_t count : {1, 4}) {
      all.add(check_embed_patches<float>(launcher, 3, count, size));
      all.add(check_embed_patches<__nv_bfloat16>(launcher, 3, count, size));
    }
  }
  return all;
}

}  // namespace facellm
