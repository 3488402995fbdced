// InternViT, both forms: 300M (LayerNorm, q/k/v bias) and 6B (RMSNorm, q/k normalisation over the
// whole hidden size). docs/internvl3.md, sections 1 and 5; upstream: transformers 5.18 models/internvl.
// q, k and v are one fused matmul; pixel values are matmul'ed patch by patch instead of convolved.
#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "core/cancellation.h"
#include "core/trace.h"
#include "kernels/patchify/channel_scale.h"
#include "layers/linear.h"
#include "layers/norm.h"
#include "model/config.h"
#include "model/parameters.h"

namespace facellm {

struct VisionLayer {
  Norm layernorm_before, layernorm_after;
  Linear qkv;               // rows: q, k, v, each [C, C]
  Norm q_norm, k_norm;      // undefined weights without q/k normalisation
  Linear projection_layer;
  Linear fc1, fc2;
  at::Tensor lambda_1, lambda_2;  // [C] layer scale
};

class VisionEncoder {
 public:
  VisionEncoder(const InternVlConfig& config, const at::TensorOptions& options);

  void append_parameters(ParameterList& list) const;
  void append_linears(LinearSiteList& list);
  // The tower in three parts, for who computes some of its layers at a time.
  // tiles uint8 [N, 3, S, S] on the model's device -> [N, P + 1, C], CLS first. Traces pixel_values and vision.embeddings.
  at::Tensor embed(const at::Tensor& tiles, const ChannelScale& scale, const Trace& trace) const;
  // Layers [first, end) of those used. Traces vision.layers.N.
  at::Tensor layers(at::Tensor hidden_states, int64_t first, int64_t end, const Cancellation& cancellation,
                    const Trace& trace) const;
  at::Tensor finish(const at::Tensor& hidden_states) const;
  int64_t layers_used() const { return layers_used_; }

 private:
  at::Tensor attend(const VisionLayer& layer, const at::Tensor& normalised) const;

  VisionConfig config_;
  int64_t layers_used_;  // vision_feature_layer may leave the last ones out
  at::Tensor cls_token_;            // [1, 1, C]
  at::Tensor position_embeddings_;  // [1, P + 1, C]
  Linear patch_projection_;         // [C, 3 * patch * patch], stored as a [C, 3, patch, patch] convolution
  std::vector<VisionLayer> layers_;
  Norm layernorm_;                  // only without mean pooling
};

}  // namespace facellm
