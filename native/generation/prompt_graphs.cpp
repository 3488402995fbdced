#include "generation/prompt_graphs.h"

#include <algorithm>
#include <exception>
#include <limits>

namespace facellm {
namespace {

constexpr size_t kMostCounted = 1024;
constexpr int kNever = std::numeric_limits<int>::min();

// Of a batch of this length, at addresses that a graph may know.
StepBatch room_for(const StepBatch& batch) {
  const auto& segment = batch.segments[0];
  StepBatch room;
  room.embeddings = at::empty_like(batch.embeddings);
  room.positions = at::empty_like(batch.positions);
  room.slots = at::empty_like(batch.slots);
  // Nothing before them: what they see is themselves.
  const auto seen = segment.count == segment.kv_length ? room.slots : at::empty({segment.kv_length}, room.slots.options());
  room.segments = {{0, segment.count, segment.kv_length, -1, seen, segment.mask}};
  return room;
}

// What differs between prompts of one length, to where the graph reads it.
void fill(StepBatch& room, const StepBatch& batch) {
  room.embeddings.copy_(batch.embeddings);
  room.positions.copy_(batch.positions);
  room.slots.copy_(batch.slots);
  const auto& segment = batch.segments[0];
  auto& seen = room.segments[0].slots;
  if (seen.is_same(room.slots)) return;
  if (segment.slots.defined()) {
    seen.copy_(segment.slots);
  } else {
    at::arange_out(seen, segment.first_slot, segment.first_slot + segment.kv_length, 1);
  }
}

}  // namespace

bool PromptGraphs::takes(const StepBatch& batch) {
  if (batch.singles || batch.decode || batch.is_invariant || batch.segments.size() != 1) return false;
  const auto& segment = batch.segments[0];
  return segment.count > 1 && segment.count == batch.embeddings.size(0) && segment.count <= kMostTokens && segment.kv_length <= kMostSeen;
}

at::Tensor PromptGraphs::forward(const StepBatch& batch, const Cancellation& cancellation) {
  const Length length{batch.segments[0].count, batch.segments[0].kv_length};
  if (const auto known = graphs_.find(length); known != graphs_.end()) {
    auto& own = known->second;
    own.last_use = ++uses_;
    try {
      fill(own.batch, batch);
      own.graph->replay();
      return own.hidden;
    } catch (const std::exception&) {
      go_without(length);  // where more is lost than memory, what follows says so
    }
  }
  if (runs_.size() == kMostCounted) runs_.clear();
  int& runs = runs_[length];
  const bool is_due = runs != kNever && ++runs >= kRunsBefore;
  return is_due ? compute_and_record(length, batch, cancellation) : compute(batch, cancellation);
}

at::Tensor PromptGraphs::compute_and_record(const Length& length, const StepBatch& batch, const Cancellation& cancellation) {
  Recorded own;
  at::Tensor hidden;
  try {
    own.batch = room_for(batch);
    fill(own.batch, batch);
    hidden = compute(own.batch, cancellation);
  } catch (const c10::OutOfMemoryError&) {
    go_without(length);
    return compute(batch, cancellation);
  }
  try {
    const DeviceGraph* const sharing = graphs_.empty() ? nullptr : graphs_.begin()->second.graph.get();
    static const Cancellation never;
    own.graph = std::make_unique<DeviceGraph>([&] { own.hidden = compute(own.batch, never); }, sharing);
  } catch (const std::exception&) {
    go_without(length);  // the answer is there; where more is lost than memory, what follows says so
    return hidden;
  }
  own.last_use = ++uses_;
  if (graphs_.size() == kMostGraphs) {
    graphs_.erase(std::ranges::min_element(graphs_, {}, [](const auto& entry) { return entry.second.last_use; }));
  }
  graphs_.insert_or_assign(length, std::move(own));
  runs_.erase(length);
  return hidden;
}

void PromptGraphs::go_without(const Length& length) {
  graphs_.erase(length);
  runs_[length] = kNever;
}

void PromptGraphs::clear() {
  graphs_.clear();
  runs_.clear();
}

at::Tensor PromptGraphs::compute(const StepBatch& batch, const Cancellation& cancellation) const {
  return model_.language_model().forward(batch, pool_, cancellation, {});
}

}  // namespace facellm
