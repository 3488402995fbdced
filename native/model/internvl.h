// InternVL3 = vision encoder + projector + language model, allocated but not yet loaded.
#pragma once

#include <ATen/ATen.h>

#include "core/cancellation.h"
#include "core/trace.h"
#include "model/config.h"
#include "model/language_model.h"
#include "model/parameters.h"
#include "model/projector.h"
#include "model/vision_encoder.h"

namespace facellm {

// Tiles on their way through the tower.
struct TowerPass {
  at::Tensor hidden_states;  // [N, P + 1, C]
  int64_t layer = 0;         // the next to be computed
};

class InternVl {
 public:
  InternVl(const InternVlConfig& config, bool has_lm_head, at::Device device, at::ScalarType dtype,
           LayerWeights layer_weights = LayerWeights::kOwn);

  // Every tensor that a checkpoint must fill, under its released HF name.
  ParameterList parameters() const;
  // Every linear layer of the three parts but the head and the patch embedding.
  LinearSiteList linears();
  // tiles uint8 [N, 3, S, S], any device -> [N, image_seq_length, D] in the model's dtype.
  at::Tensor encode_tiles(const at::Tensor& tiles, const ChannelScale& scale, const Cancellation& cancellation, const Trace& trace) const;
  // The same in pieces, bit for bit: tiles as above; then a share of the tower at a time, until the vectors come
  // (before that an undefined tensor). What throws leaves the pass as it was.
  TowerPass begin_tiles(const at::Tensor& tiles, const ChannelScale& scale, const Trace& trace) const;
  at::Tensor advance_tiles(TowerPass& pass, int64_t shares, const Cancellation& cancellation, const Trace& trace) const;

  // The language model's head, logits of final hidden states, and the module whose weights it has.
  LinearSite head() { return language_model_.head(); }
  LinearSite embeddings() { return language_model_.embeddings(); }
  bool ties_head() const { return language_model_.ties_head(); }

  const InternVlConfig& config() const { return config_; }
  const LanguageModel& language_model() const { return language_model_; }
  const at::TensorOptions& options() const { return options_; }

 private:
  InternVlConfig config_;
  at::TensorOptions options_;
  VisionEncoder vision_encoder_;
  Projector projector_;
  LanguageModel language_model_;
};

}  // namespace facellm
