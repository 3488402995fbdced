// What a trainer does as one rank of a job: gradients summed over the ranks, rank 0's state given to all, and,
// for models that do not fit one device, the text layers' weights shared out. A trainer without a job has none.
#pragma once

#include <ATen/ATen.h>

#include <memory>

#include "core/cancellation.h"
#include "distributed/gradient_reducer.h"
#include "distributed/process_group.h"
#include "model/parameters.h"
#include "model/weight_placement.h"
#include "training/sharded_layers.h"

namespace facellm {

class DataParallel {
 public:
  DataParallel(std::shared_ptr<ProcessGroup> group, bool shards_weights);

  // For open_model; null where every rank holds the whole model.
  PlaceWeights place_weights();
  // When the model is loaded and its trainable leaves are known. `recomputes_images`: the image side is trained
  // chunk by chunk with recomputation, so that its gradients come in pieces.
  void begin(const ParameterList& leaves, bool recomputes_images);

  // Before a text layer computes; see ShardedLayers::prepare.
  void prepare_layer(int64_t index, bool is_backward, const Cancellation& cancellation);
  bool shards_weights() const { return shards_weights_; }
  // Device memory of the shared-out layers on this rank; 0 without.
  int64_t sharded_bytes() const { return sharded_ ? sharded_->resident_bytes() : 0; }

  // Around the backward pass of a micro-batch; only an update's last one sends gradients.
  void before_backward(bool is_last);
  void after_backward(bool is_last);
  // In the place of both passes where this rank's share of a micro-batch is empty: shadows the collectives of
  // the others, in their order, as torch's Join context does.
  void shadow(bool is_last, const Cancellation& cancellation);
  // Likewise where only the forward pass is computed.
  void shadow_forward(const Cancellation& cancellation);
  // Waits until every gradient is the sum over all ranks.
  void finish(const Cancellation& cancellation) { reducer_->finish(cancellation); }
  // The update is done, or has failed.
  void reset() { reducer_->reset(); }

  // Rank 0's values into everyone's tensors.
  void broadcast(const ParameterList& tensors, const Cancellation& cancellation);

 private:
  std::shared_ptr<ProcessGroup> group_;
  bool shards_weights_;
  std::unique_ptr<ShardedLayers> sharded_;
  std::unique_ptr<GradientReducer> reducer_;
  std::vector<std::vector<size_t>> leaves_of_layer_;  // indices of each text layer's trainable leaves
};

}  // namespace facellm
