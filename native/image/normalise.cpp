#include "image/normalise.h"

namespace facellm {
namespace {

// The reference divides an fp32 tensor by the factor's inverse: three values as [1, 3, 1, 1].
at::Tensor channel_values(const double values[3], double rescale_factor, at::Device device) {
  const auto fp32 = at::tensor(at::ArrayRef<double>(values, 3), at::kFloat);
  return (fp32 * (1.0 / rescale_factor)).view({1, 3, 1, 1}).to(device);
}

}  // namespace

ChannelScale channel_scale(const double mean[3], const double std[3], double rescale_factor, at::Device device) {
  return {channel_values(mean, rescale_factor, device), channel_values(std, rescale_factor, device)};
}

at::Tensor normalise(const at::Tensor& tiles, const ChannelScale& scale) {
  return (tiles.to(at::kFloat) - scale.mean) / scale.std;
}

at::Tensor normalise(const at::Tensor& tiles, const double mean[3], const double std[3], double rescale_factor) {
  return normalise(tiles, channel_scale(mean, std, rescale_factor, tiles.device()));
}

}  // namespace facellm
