// A model from checkpoint files, ready to answer or to be trained.
#pragma once

#include <memory>

#include "core/cancellation.h"
#include "model/internvl.h"
#include "model/load_request.h"
#include "model/map_weights.h"
#include "model/weight_placement.h"

namespace facellm {

// The form and order in which the linear layers keep their weights.
enum class WeightOrder {
  kAsStored,
  kPacked,      // for a model that only answers: that of the processor's own kernels (kernels/cpu), where model, device and processor allow it
  kFrozen,      // to be trained upon: the text layers in the form that is asked for (layers/frozen_weight.h)
  kFrozenText,  // the same of a run that trains nothing of the image side, whose layers are as in kPacked
};

struct OpenedModel {
  std::unique_ptr<InternVl> model;  // address-stable: caches and extensions point into it
  WeightFiles files;  // what the model's memory is, besides its own
  ModelInfo info;
};

// Throws what Checkpoint::open and load_weights throw. With `place` the text layers' projections come without
// memory of their own, and their values go where it says. Mapped files are to be asked whether they are unchanged
// before results leave the engine.
OpenedModel open_model(const LoadRequest& request, const LoadProgress& progress,
                       const Cancellation& cancellation, const PlaceWeights& place = {},
                       WeightOrder order = WeightOrder::kAsStored);

}  // namespace facellm
