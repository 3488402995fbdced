// Pixel shuffle and the two-layer projector that turns a tile's patches into text-sized vectors
// (docs/internvl3.md, section 6).
#pragma once

#include <ATen/ATen.h>

#include "core/trace.h"
#include "layers/linear.h"
#include "layers/norm.h"
#include "model/config.h"
#include "model/parameters.h"

namespace facellm {

// [N, side, side, C] -> [N, (side * ratio)^2, C / ratio^2]: output channel (f * m + n) * C + ch with
// f = 1 / ratio takes patch (f * i + m, f * j + n). Not torch.pixel_unshuffle's order.
at::Tensor pixel_shuffle(const at::Tensor& patches, double ratio);

class Projector {
 public:
  Projector(const InternVlConfig& config, const at::TensorOptions& options);

  void append_parameters(ParameterList& list) const;
  void append_linears(LinearSiteList& list);
  // vision [N, P + 1, C] -> [N, tokens, D]. Traces projector.input and projector.output.
  at::Tensor operator()(const at::Tensor& vision, const Trace& trace) const;

 private:
  InternVlConfig config_;
  Norm layer_norm_;
  Linear linear_1_, linear_2_;
};

}  // namespace facellm
