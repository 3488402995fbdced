#include "kernels/patchify/patchify.h"

namespace facellm {

at::Tensor normalise(const at::Tensor& tiles, const ChannelScale& scale) {
  const auto channels = [&](const float (&values)[3]) { return at::tensor(at::ArrayRef<float>(values, 3)).view({1, 3, 1, 1}).to(tiles.device()); };
  return (tiles.to(at::kFloat) - channels(scale.mean)) / channels(scale.std);
}

at::Tensor patchify_reference(const at::Tensor& tiles, const ChannelScale& scale, int64_t patch, at::ScalarType dtype) {
  const int64_t count = tiles.size(0), side = tiles.size(-1) / patch;
  return normalise(tiles, scale)
      .to(dtype)
      .view({count, 3, side, patch, side, patch})
      .permute({0, 2, 4, 1, 3, 5})
      .reshape({count, side * side, 3 * patch * patch});
}

}  // namespace facellm
