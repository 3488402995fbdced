// The loss of one micro-batch: pictures to vectors, tokens to hidden states, supervised rows to loss.
#pragma once

#include <ATen/ATen.h>

#include <functional>

#include "core/cancellation.h"
#include "core/stopwatch.h"
#include "kernels/patchify/channel_scale.h"
#include "model/image_feature_cache.h"
#include "model/internvl.h"
#include "training/trainer.h"

namespace facellm {

struct LossSettings {
  bool trains_image_side;  // else it runs without autograd, and its output may be cached
  bool checkpoints_activations;
  int64_t loss_chunk_rows;
  bool shares_prefix;
  ChannelScale channels;
  // Before each text layer computes, forward and again in the backward pass (sharded weights); may be null.
  std::function<void(int64_t layer, bool is_backward, const Cancellation& cancellation)> before_layer;
};

// Throws kImageTokenMismatch or kInvalidArgument, naming the sample, before any work.
void check_samples(const InternVlConfig& config, const MicroBatch& batch);

// The loss, a scalar. Fills in the counts of `result` and names its times to `watch`. `anchor`: see activation_checkpoint.h.
at::Tensor batch_loss(const InternVl& model, const MicroBatch& batch, const LossSettings& settings,
                      ImageFeatureCache& features, const at::Tensor& anchor, MicroResult& result,
                      Stopwatch& watch, const Cancellation& cancellation);

// Of each sample the sum of its learnt tokens' losses in nats, not weighted; no gradient. Fills in as batch_loss does.
std::vector<double> sample_losses(const InternVl& model, const MicroBatch& batch, const LossSettings& settings,
                                  ImageFeatureCache& features, const at::Tensor& anchor, MicroResult& result,
                                  Stopwatch& watch, const Cancellation& cancellation);

}  // namespace facellm
