#include "lora/adapter_stacks.h"

#include <algorithm>
#include <string>

#include "checkpoint/checkpoint.h"
#include "core/error.h"
#include "lora/stacked_lora.h"

namespace facellm {

AdapterInfo AdapterStacks::load(const AdapterSource& source) {
  const auto dtype = c10::typeMetaToScalarType(model_.options().dtype());
  const auto adapter = Adapter::load(model_, source.spec, Checkpoint::open({source.file}, {}), dtype);
  adapter->prepare_for_inference();
  const int64_t id = next_id_++;
  adapters_.emplace(id, adapter);
  AdapterInfo info{id, 0, adapter->bytes(), adapter->touches_vision()};
  for (const auto& [name, tensor] : adapter->parameters()) info.parameter_count += tensor.numel();
  return info;
}

void AdapterStacks::unload(int64_t id) {
  auto left = built_;
  std::vector<uint64_t> gone;
  for (const auto& [serial, stack] : stacks_) {
    if (std::find(stack.ids.begin(), stack.ids.end(), id) == stack.ids.end()) continue;
    gone.push_back(serial);
    left.erase(serial);
  }
  if (left.size() < built_.size()) {
    plug_in(std::move(left));
    rows_->set_all(0);
  }
  for (const uint64_t serial : gone) forget(serial);
  adapters_.erase(id);
}

uint64_t AdapterStacks::serial_of(const AdapterIds& ids) {
  if (ids.empty()) return 0;
  if (const auto known = serials_.find(ids); known != serials_.end()) {
    use(known->second);
    return known->second;
  }
  const auto adapters = adapters_of(ids);
  stacked_slices(adapters);  // whether they can be stacked at all
  Stack stack{ids, {}, 0};
  for (size_t i = 0; i < ids.size(); ++i) {
    if (adapters[i]->touches_vision()) stack.image_ids.push_back(ids[i]);
  }
  while (stacks_.size() >= kMostKnown) {
    const auto oldest = std::min_element(stacks_.begin(), stacks_.end(), [&](const auto& a, const auto& b) {
      const auto rank = [&](const auto& entry) { return std::pair(built_.contains(entry.first), entry.second.last_use); };
      return rank(a) < rank(b);
    });
    forget(oldest->first);
  }
  const uint64_t serial = next_serial_++;
  serials_.emplace(ids, serial);
  stacks_.emplace(serial, std::move(stack));
  use(serial);
  return serial;
}

const AdapterIds& AdapterStacks::ids_of(uint64_t serial) const { return find(serial).ids; }

const AdapterIds& AdapterStacks::image_ids_of(uint64_t serial) const { return find(serial).image_ids; }

void AdapterStacks::set_rows(int64_t rows, std::span<const RowGroup> groups) {
  wanted_.clear();
  for (const auto& group : groups) {
    if (group.stack == 0 || std::find(wanted_.begin(), wanted_.end(), group.stack) != wanted_.end()) continue;
    wanted_.push_back(group.stack);
  }
  build(wanted_);
  rows_->set(rows, groups);
}

void AdapterStacks::set_all_rows(uint64_t serial) {
  if (serial != 0) build(std::span(&serial, 1));
  rows_->set_all(serial);
}

int64_t AdapterStacks::bytes() const {
  int64_t total = 0;
  for (const auto& [id, adapter] : adapters_) total += adapter->bytes();
  for (const auto& [serial, layers] : built_) {
    for (const auto& layer : layers) total += layer ? layer->bytes() : 0;
  }
  return total;
}

std::vector<std::shared_ptr<const Adapter>> AdapterStacks::adapters_of(const AdapterIds& ids) const {
  std::vector<std::shared_ptr<const Adapter>> adapters;
  for (const int64_t id : ids) {
    const auto found = adapters_.find(id);
    if (found == adapters_.end()) {
      throw Error(ErrorCode::kInvalidArgument,
                  "adapters: no adapter " + std::to_string(id) + " is loaded into this model");
    }
    adapters.push_back(found->second);
  }
  return adapters;
}

const AdapterStacks::Stack& AdapterStacks::find(uint64_t serial) const {
  static const Stack kBase{};
  if (serial == 0) return kBase;
  const auto found = stacks_.find(serial);
  if (found != stacks_.end()) return found->second;
  throw Error(ErrorCode::kInvalidArgument,
              "adapters: an adapter of stack " + std::to_string(serial) + " has been unloaded from this model");
}

void AdapterStacks::use(uint64_t serial) {
  find(serial);
  stacks_[serial].last_use = ++uses_;
}

void AdapterStacks::forget(uint64_t serial) {
  serials_.erase(stacks_[serial].ids);
  stacks_.erase(serial);
}

void AdapterStacks::build(std::span<const uint64_t> serials) {
  if (serials.size() > kMostBuilt) {
    throw Error(ErrorCode::kInternal, "adapters: " + std::to_string(serials.size()) + " stacks in one pass, at most " +
                                          std::to_string(kMostBuilt));
  }
  for (const uint64_t serial : serials) use(serial);
  const auto is_built = [&](uint64_t serial) { return built_.contains(serial); };
  if (std::all_of(serials.begin(), serials.end(), is_built)) return;
  auto built = built_;
  const auto sites = model_.linears();
  for (const uint64_t serial : serials) {
    if (is_built(serial)) continue;
    const auto slices = stacked_slices(adapters_of(find(serial).ids));
    Layers layers;
    for (const auto& site : sites) {
      const auto own = slices.find(site.linear);
      layers.push_back(own == slices.end() ? nullptr : std::make_shared<const FrozenLora>(*site.linear, own->second));
    }
    built.emplace(serial, std::move(layers));
  }
  while (built.size() > kMostBuilt) {
    built.erase(std::min_element(built.begin(), built.end(), [&](const auto& a, const auto& b) {
      return find(a.first).last_use < find(b.first).last_use;
    }));
  }
  plug_in(std::move(built));
}

void AdapterStacks::plug_in(std::map<uint64_t, Layers> built) {
  std::vector<std::shared_ptr<const LinearExtension>> extensions;
  const auto sites = model_.linears();
  for (size_t place = 0; place < sites.size(); ++place) {
    std::vector<StackedLora::Part> parts;
    for (const auto& [serial, layers] : built) {
      if (layers[place]) parts.emplace_back(serial, layers[place]);
    }
    extensions.push_back(parts.empty() ? nullptr : std::make_shared<const StackedLora>(rows_, std::move(parts)));
  }
  for (size_t place = 0; place < sites.size(); ++place) sites[place].linear->extension = std::move(extensions[place]);
  built_ = std::move(built);
  ++builds_;
}

}  // namespace facellm
