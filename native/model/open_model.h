// A model from checkpoint files, ready to answer or to be trained.
#pragma once

#include <memory>

#include "core/cancellation.h"
#include "model/internvl.h"
#include "model/load_request.h"

namespace facellm {

struct OpenedModel {
  std::unique_ptr<InternVl> model;  // address-stable: caches and extensions point into it
  ModelInfo info;
};

// Throws what Checkpoint::open and load_weights throw.
OpenedModel open_model(const LoadRequest& request, const LoadProgress& progress,
                       const Cancellation& cancellation);

// Of the request's sizes, with weights of its own (model/initialise.h); its files are not looked at.
OpenedModel fresh_model(const LoadRequest& request, uint64_t seed);

}  // namespace facellm
