// Fills a model from a checkpoint: everything is checked before anything is copied, so nothing is
// loaded by half; all problems come in one error.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "core/cancellation.h"
#include "model/internvl.h"
#include "model/name_map.h"

namespace facellm {

// A parameter and the one place of the checkpoint that fills it.
struct Assignment {
  std::string name;    // released HF name
  at::Tensor target;   // the parameter
  TensorSource source;
};

// Pairs every parameter with its source, in the parameters' order. Throws kCheckpointInvalid listing every
// missing, ambiguous, unexpected and mis-shaped tensor. Touches shapes only: `parameters` may be on the meta
// device.
std::vector<Assignment> assign_weights(const ParameterList& parameters, const Checkpoint& checkpoint);

// True if the files hold a head of their own; its absence means that it shares embed_tokens.
bool has_lm_head(const Checkpoint& checkpoint);

// Copies with conversion to the model's dtype and device. Throws as assign_weights, and kNonFinite naming every tensor with NaN or
// infinity. Pages of the file leave memory as they are consumed.
void load_weights(const InternVl& model, const Checkpoint& checkpoint,
                  const std::function<void(int64_t done, int64_t total)>& progress,
                  const Cancellation& cancellation);

}  // namespace facellm
