#include "model/projector.h"

#include <cmath>

namespace facellm {

at::Tensor pixel_shuffle(const at::Tensor& patches, double ratio) {
  const int64_t factor = std::llround(1.0 / ratio);
  const int64_t tiles = patches.size(0), side = patches.size(1), channels = patches.size(3);
  const int64_t tokens = side / factor;
  return patches.reshape({tiles, tokens, factor, tokens, factor, channels})
      .permute({0, 1, 3, 2, 4, 5})
      .reshape({tiles, tokens * tokens, factor * factor * channels});
}

Projector::Projector(const InternVlConfig& config, const at::TensorOptions& options)
    : config_(config) {
  const int64_t factor = std::llround(1.0 / config.downsample_ratio);
  const int64_t size = config.vision.hidden_size * factor * factor;
  layer_norm_ = Norm::empty(size, 1e-5, false, options);  // nn.LayerNorm's own eps, not 1e-6
  linear_1_ = Linear::empty(size, config.text.hidden_size, true, options);
  linear_2_ = Linear::empty(config.text.hidden_size, config.text.hidden_size, true, options);
}

void Projector::append_parameters(ParameterList& list) const {
  append(list, "multi_modal_projector.layer_norm", layer_norm_);
  append(list, "multi_modal_projector.linear_1", linear_1_);
  append(list, "multi_modal_projector.linear_2", linear_2_);
}

void Projector::append_linears(LinearSiteList& list) {
  const std::string root = "multi_modal_projector.";
  list.push_back({&linear_1_, {{root + "linear_1", 0, linear_1_.weight.size(0)}}});
  list.push_back({&linear_2_, {{root + "linear_2", 0, linear_2_.weight.size(0)}}});
}

at::Tensor Projector::operator()(const at::Tensor& vision, const Trace& trace) const {
  const int64_t side = config_.vision.image_size / config_.vision.patch_size;
  const auto patches = vision.narrow(1, 1, side * side);
  const auto grid = patches.unflatten(1, {side, side});
  const auto shuffled = pixel_shuffle(grid, config_.downsample_ratio);
  if (trace) trace("projector.input", shuffled);
  const auto projected = linear_2_(linear_1_.gelu(layer_norm_(shuffled)));
  if (trace) trace("projector.output", projected);
  return projected;
}

}  // namespace facellm
