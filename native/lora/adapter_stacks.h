// The adapters of a loaded model, and the stacks of them that requests name: ordered lists, several of which may work in
// one forward pass, each on its own rows (lora/row_groups.h). Lives on the engine thread, between passes, so that no
// pass meets a change half way.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "lora/adapter.h"
#include "lora/adapter_source.h"
#include "lora/frozen_lora.h"
#include "lora/row_groups.h"
#include "model/internvl.h"

namespace facellm {

class AdapterStacks {
 public:
  // So many different stacks may share a pass, and have their parts of the layers kept.
  static constexpr size_t kMostBuilt = 8;

  explicit AdapterStacks(InternVl& model) : model_(model) {}

  // Reads an adapter and gives it a number that is never used again. Throws kAdapterInvalid, and what
  // Checkpoint::open throws.
  AdapterInfo load(const AdapterSource& source);
  // Frees it and every stack that it is in, whose rows are the base's until rows are set again. An unknown id is no fault.
  void unload(int64_t id);

  // The number of the stack of these adapters, in this order; 0 for none. Equal for equal lists as long as their adapters
  // are loaded, and never another list's: what was computed under a serial stays true of it. Throws kInvalidArgument
  // for an id that is not loaded, kAdapterInvalid where DoRA meets another; then nothing has changed.
  uint64_t serial_of(const AdapterIds& ids);
  // What a stack is made of; kInvalidArgument for one whose adapters have been unloaded, as for all that takes serials.
  const AdapterIds& ids_of(uint64_t serial) const;
  // Those among them that image vectors follow from: vision tower or projector.
  const AdapterIds& image_ids_of(uint64_t serial) const;

  // Whose rows the next passes have: see RowGroups. At most kMostBuilt different stacks, else kInternal.
  void set_rows(int64_t rows, std::span<const RowGroup> groups);
  void set_all_rows(uint64_t serial);
  // As RowGroups has it.
  void set_invariant() { rows_->set_invariant(); }

  // Changes whenever matrices of stacks come or go: what has been recorded with others holds addresses that mean nothing now.
  uint64_t builds() const { return builds_; }

  // Memory of adapters and of what is kept for stacks.
  int64_t bytes() const;

 private:
  // Of one stack by place in the model; null for a layer that it does not touch.
  using Layers = std::vector<std::shared_ptr<const FrozenLora>>;
  struct Stack {
    AdapterIds ids, image_ids;
    uint64_t last_use;
  };
  // So that who tries adapters in all orders fills no memory: what was not used for longest is forgotten.
  static constexpr size_t kMostKnown = 4096;

  std::vector<std::shared_ptr<const Adapter>> adapters_of(const AdapterIds& ids) const;
  const Stack& find(uint64_t serial) const;
  void use(uint64_t serial);
  void forget(uint64_t serial);
  // Builds those of `serials` that are not built, in the place of what was not used for longest.
  void build(std::span<const uint64_t> serials);
  // Makes these layers the model's. Throws before anything has changed, or not at all.
  void plug_in(std::map<uint64_t, Layers> built);

  InternVl& model_;
  std::shared_ptr<RowGroups> rows_ = std::make_shared<RowGroups>();
  std::map<int64_t, std::shared_ptr<const Adapter>> adapters_;
  std::map<uint64_t, Stack> stacks_;
  std::map<AdapterIds, uint64_t> serials_;
  std::map<uint64_t, Layers> built_;
  std::vector<uint64_t> wanted_;  // by set_rows(), kept so that no step allocates
  int64_t next_id_ = 1;
  uint64_t next_serial_ = 1;
  uint64_t uses_ = 0;
  uint64_t builds_ = 0;
};

}  // namespace facellm
