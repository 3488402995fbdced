// The adapters of a loaded model: those in memory, and those that work now. Lives on the engine thread,
// between requests, so that no request meets a change half way.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "generation/face_llm.h"
#include "generation/prefix_cache.h"
#include "lora/adapter.h"
#include "model/internvl.h"

namespace facellm {

class AdapterStack {
 public:
  explicit AdapterStack(InternVl& model) : model_(model) {}

  // Reads an adapter and gives it a number that is never used again. Throws kAdapterInvalid, and what
  // Checkpoint::open throws.
  AdapterInfo load(const AdapterSource& source);
  // Frees it; takes it out of the work if it is active. An unknown id is no fault.
  void unload(int64_t id);
  // Makes exactly these work, in this order; none gives the base model. Throws kInvalidArgument for an id
  // that is not loaded, kAdapterInvalid where DoRA meets another; then nothing has changed.
  void use(const AdapterIds& ids);

  // What keys, values and logits follow from.
  const AdapterIds& active() const { return active_; }
  // Those among them that image vectors follow from.
  const AdapterIds& active_on_images() const { return active_on_images_; }

 private:
  InternVl& model_;
  std::map<int64_t, std::shared_ptr<const Adapter>> adapters_;
  AdapterIds active_;
  AdapterIds active_on_images_;
  int64_t next_id_ = 1;
};

}  // namespace facellm
