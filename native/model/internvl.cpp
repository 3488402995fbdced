#include "model/internvl.h"

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

at::Tensor InternVl::encode_tiles(const at::Tensor& pixel_values, const Cancellation& cancellation,
                                  const Trace& trace) const {
  const auto hidden_states = vision_encoder_(pixel_values.to(options_), cancellation, trace);
  return projector_(hidden_states, trace);
}

}  // namespace facellm
