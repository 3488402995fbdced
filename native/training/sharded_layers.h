// The frozen projections of the text layers, kept once in the whole job: each rank holds an equal share of
// every layer and gathers the others' just before the layer runs, forward and again when it is recomputed for
// the backward pass (ZeRO stage 3, arXiv 1910.02054, for weights that take no gradient). Two buffers take
// turns, so that one layer is under way while another computes; no rank ever holds more than two layers whole.
#pragma once

#include <ATen/ATen.h>

#include <array>
#include <memory>
#include <vector>

#include "core/cancellation.h"
#include "distributed/process_group.h"
#include "model/internvl.h"
#include "model/weight_placement.h"

namespace facellm {

class ShardedLayers {
 public:
  // `model`: built with LayerWeights::kLeftOut, alive as long as this. Allocates this rank's share, zero.
  ShardedLayers(std::shared_ptr<ProcessGroup> group, InternVl& model);

  // For load_weights: this rank reads its share only.
  WeightPlacement placement() const;
  // After loading: the layers' weights become views of the two buffers.
  void install();

  // Makes layer `index` whole and starts on the one that follows: the next, or in a backward pass the one
  // before. Every rank makes the same calls in the same order.
  void prepare(int64_t index, bool is_backward, const Cancellation& cancellation);

  int64_t count() const { return static_cast<int64_t>(layers_.size()); }
  int64_t resident_bytes() const;  // share and buffers

 private:
  struct Part {
    Linear* linear;
    int64_t offset;  // within its layer, in elements
  };
  struct Layer {
    std::vector<Part> parts;
    at::Tensor share;  // [share_size_]
  };
  struct Buffer {
    at::Tensor whole;  // [share_size_ * ranks]
    int64_t layer = -1;
    std::shared_ptr<Pending> pending;
  };
  void request(int64_t index);

  std::shared_ptr<ProcessGroup> group_;
  at::TensorOptions options_;
  std::vector<Layer> layers_;
  int64_t layer_size_ = 0, share_size_ = 0;  // elements
  std::array<Buffer, 2> buffers_;
};

}  // namespace facellm
