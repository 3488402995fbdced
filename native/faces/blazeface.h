// BlazeFace's two networks on the CPU in fp32 (Bazarevsky et al. 2019, arXiv 1907.05047; the graphs of MediaPipe's
// face_detection_short_range.tflite and face_detection_full_range.tflite, docs/faces.md).
#pragma once

#include <ATen/ATen.h>

#include <map>
#include <string>

#include "faces/decode.h"

namespace facellm {

class BlazeFace {
 public:
  // `file`: what scripts/face-weights.mjs writes. Throws as Checkpoint::open, and kCheckpointInvalid for a tensor
  // that is absent or of another shape.
  BlazeFace(Network network, const std::string& file);

  // input fp32 [N, 3, S, S] in -1..1 -> fp32 [N, anchors, 17]: a score's logit, then 16 numbers of box and points.
  at::Tensor forward(const at::Tensor& input) const;

 private:
  Network network_;
  std::map<std::string, at::Tensor> weights_;
};

}  // namespace facellm
