#include "generation/adapter_stack.h"

#include <algorithm>

#include "checkpoint/checkpoint.h"
#include "core/error.h"

namespace facellm {

AdapterInfo AdapterStack::load(const AdapterSource& source) {
  const auto dtype = c10::typeMetaToScalarType(model_.options().dtype());
  const auto adapter =
      Adapter::load(model_, source.spec, Checkpoint::open({source.file}, {}), dtype);
  adapter->prepare_for_inference();
  const int64_t id = next_id_++;
  adapters_.emplace(id, adapter);
  AdapterInfo info{id, 0, adapter->bytes(), adapter->touches_vision()};
  for (const auto& [name, tensor] : adapter->parameters()) info.parameter_count += tensor.numel();
  return info;
}

void AdapterStack::unload(int64_t id) {
  if (std::find(active_.begin(), active_.end(), id) != active_.end()) use({});
  adapters_.erase(id);
}

void AdapterStack::use(const AdapterIds& ids) {
  if (ids == active_) return;
  std::vector<std::shared_ptr<const Adapter>> adapters;
  AdapterIds on_images;
  for (const int64_t id : ids) {
    const auto found = adapters_.find(id);
    if (found == adapters_.end()) {
      throw Error(ErrorCode::kInvalidArgument,
                  "adapters: no adapter " + std::to_string(id) + " is loaded into this model");
    }
    adapters.push_back(found->second);
    if (found->second->touches_vision()) on_images.push_back(id);
  }
  activate(model_, adapters, nullptr);
  active_ = ids;
  active_on_images_ = std::move(on_images);
}

}  // namespace facellm
