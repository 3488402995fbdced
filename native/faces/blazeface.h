// BlazeFace's two networks on the CPU in fp32 (Bazarevsky et al. 2019, arXiv 1907.05047; the graphs of MediaPipe's
// face_detection_short_range.tflite and face_detection_full_range.tflite, docs/faces.md). Torch-free.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "faces/decode.h"

namespace facellm {

class BlazeFace {
 public:
  // `file`: what scripts/face-weights.mjs writes. Throws as Checkpoint::open, and kCheckpointInvalid for a tensor
  // that is absent or of another shape.
  BlazeFace(Network network, const std::string& file);
  ~BlazeFace();
  BlazeFace(BlazeFace&&) noexcept;

  // input [3, S, S] in -1..1 -> [anchors, kRowWidth]: a score's logit, then 16 numbers of box and points. On the
  // calling thread alone.
  std::vector<float> forward(const float* input) const;

 private:
  struct Layers;
  Network network_;
  std::unique_ptr<const Layers> layers_;
};

}  // namespace facellm
