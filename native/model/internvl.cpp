#include "model/internvl.h"

#include <algorithm>

namespace facellm {

InternVl::InternVl(const InternVlConfig& config, bool has_lm_head, at::Device device,
                   at::ScalarType dtype, LayerWeights layer_weights)
    : config_(config),
      options_(at::TensorOptions().device(device).dtype(dtype)),
      vision_encoder_(config, options_),
      projector_(config, options_),
      language_model_(config.text, has_lm_head, options_, layer_weights) {}

ParameterList InternVl::parameters() const {
  ParameterList list;
  vision_encoder_.append_parameters(list);
  projector_.append_parameters(list);
  language_model_.append_parameters(list);
  return list;
}

LinearSiteList InternVl::linears() {
  LinearSiteList list;
  vision_encoder_.append_linears(list);
  projector_.append_linears(list);
  language_model_.append_linears(list);
  return list;
}

at::Tensor InternVl::encode_tiles(const at::Tensor& tiles, const ChannelScale& scale, const Cancellation& cancellation,
                                  const Trace& trace) const {
  auto pass = begin_tiles(tiles, scale, trace);
  return advance_tiles(pass, 1, cancellation, trace);
}

TowerPass InternVl::begin_tiles(const at::Tensor& tiles, const ChannelScale& scale, const Trace& trace) const {
  return {vision_encoder_.embed(tiles.to(options_.device()), scale, trace)};
}

at::Tensor InternVl::advance_tiles(TowerPass& pass, int64_t shares, const Cancellation& cancellation,
                                   const Trace& trace) const {
  const int64_t all = vision_encoder_.layers_used();
  const int64_t end = std::min(all, pass.layer + (all + shares - 1) / shares);
  pass.hidden_states = vision_encoder_.layers(pass.hidden_states, pass.layer, end, cancellation, trace);
  pass.layer = end;
  if (end < all) return {};
  return projector_(vision_encoder_.finish(pass.hidden_states), trace);
}

}  // namespace facellm
