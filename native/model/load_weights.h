// Fills a model from a checkpoint: everything is checked before anything is copied, so nothing is
// loaded by half; all problems come in one error.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/quantised_weight.h"
#include "core/cancellation.h"
#include "model/internvl.h"
#include "model/map_weights.h"
#include "model/name_map.h"
#include "model/pack_weights.h"
#include "model/weight_placement.h"

namespace facellm {

// A parameter and the one place of the checkpoint that fills it.
struct Assignment {
  std::string name;    // released HF name
  at::Tensor target;   // the parameter
  TensorSource source;
  std::optional<QuantisedTensors> quantised = {};  // it is not stored as it is: `source` names what it would be
};

// Pairs every parameter with its source, in the parameters' order. Throws kCheckpointInvalid listing every
// missing, ambiguous, unexpected and mis-shaped tensor. Touches shapes only: `parameters` may be on the meta
// device.
std::vector<Assignment> assign_weights(const ParameterList& parameters, const Checkpoint& checkpoint,
                                       const Quantisation& form = {});

// True if the head has weights of its own: the files hold them, or config.json does not say that it shares
// embed_tokens, so that they are missing.
bool has_lm_head(const InternVlConfig& config, const Checkpoint& checkpoint);

struct WeightSources {
  bool uses_mmap = false;  // else nothing is mapped
  // If not null, says which part of each parameter is kept, and where; only that part is read.
  WeightPlacement placement = {};
  // Layers whose weights are packed too (pack_weights).
  PackedSiteList packed = {};
};

// Copies with conversion to the model's dtype and device, or maps; meta tensors stay as they are. Throws as assign_weights, Checkpoint::read and
// FileMapping::require_unchanged, and kNonFinite naming every tensor with NaN or infinity: then the model is
// not to be used. Returns the files that the model's memory is from now on.
WeightFiles load_weights(const InternVl& model, const Checkpoint& checkpoint,
                         const std::function<void(int64_t done, int64_t total)>& progress,
                         const Cancellation& cancellation, const WeightSources& sources = {});

}  // namespace facellm
