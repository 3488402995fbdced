#include "generation/prompt_graphs.h"

#include <algorithm>

namespace facellm {
namespace {

// What differs between prompts of one length, to where the graph reads it.
void fill(StepBatch& own, const StepBatch& batch) {
  own.embeddings.copy_(batch.embeddings);
  own.positions.copy_(batch.positions);
  own.slots.copy_(batch.slots);
  const auto& segment = batch.segments[0];
  auto& seen = own.segments[0].slots;
  if (seen.is_same(own.slots)) return;
  if (segment.slots.defined()) {
    seen.copy_(segment.slots);
  } else {
    at::arange_out(seen, segment.first_slot, segment.first_slot + segment.kv_length, 1);
  }
}

}  // namespace

bool PromptGraphs::takes(const StepBatch& batch) {
  return !batch.singles && !batch.decode && !batch.is_invariant && batch.segments.size() == 1 && batch.segments[0].count > 1 &&
         batch.segments[0].count == batch.embeddings.size(0) && batch.segments[0].count <= kMostTokens;
}

at::Tensor PromptGraphs::forward(const StepBatch& batch) {
  const Length length{batch.segments[0].count, batch.segments[0].kv_length};
  if (!lengths_.contains(length) && lengths_.size() == kMostLengths) drop_oldest();
  auto& own = lengths_[length];
  own.last_use = ++uses_;
  const int before = own.runs++;
  if (before + 1 < kRunsBefore || own.has_no_room) return compute(batch);
  try {
    if (!own.batch.embeddings.defined()) make_room(own, batch);
    fill(own.batch, batch);
    if (before >= kRunsBefore && !own.graph) record(own);
  } catch (const c10::OutOfMemoryError&) {
    own.has_no_room = true;
    own.batch = {};
    own.hidden = at::Tensor();
    return compute(batch);
  }
  if (!own.graph) return compute(own.batch);
  own.graph->replay();
  return own.hidden;
}

void PromptGraphs::make_room(Recorded& own, const StepBatch& batch) {
  const auto& segment = batch.segments[0];
  const auto slots = at::empty_like(batch.slots);
  // Nothing before them: what they see is themselves.
  const auto seen = segment.count == segment.kv_length ? slots : at::empty({segment.kv_length}, slots.options());
  StepBatch room;
  room.embeddings = at::empty_like(batch.embeddings);
  room.positions = at::empty_like(batch.positions);
  room.slots = slots;
  room.segments = {{0, segment.count, segment.kv_length, -1, seen, segment.mask}};
  own.batch = std::move(room);
}

void PromptGraphs::record(Recorded& own) {
  const DeviceGraph* sharing = nullptr;
  for (const auto& [_, other] : lengths_) sharing = other.graph ? other.graph.get() : sharing;
  own.graph = std::make_unique<DeviceGraph>([&] { own.hidden = compute(own.batch); }, sharing);
}

at::Tensor PromptGraphs::compute(const StepBatch& batch) const {
  static const Cancellation never;
  return model_.language_model().forward(batch, pool_, never, {});
}

void PromptGraphs::drop_oldest() {
  lengths_.erase(std::ranges::min_element(lengths_, {}, [](const auto& entry) { return entry.second.last_use; }));
}

}  // namespace facellm
