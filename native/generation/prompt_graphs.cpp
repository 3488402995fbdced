#include "generation/prompt_graphs.h"

#include <exception>

namespace facellm {
namespace {

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
  if (auto* const own = graphs_.find(length)) {
    try {
      fill(own->io.batch, batch);
      own->graph->replay();
      return own->io.hidden;
    } catch (const std::exception&) {
      graphs_.go_without(length);  // where more is lost than memory, what follows says so
    }
  }
  return graphs_.is_due(length) ? compute_and_record(length, batch, cancellation) : compute(batch, cancellation);
}

at::Tensor PromptGraphs::compute_and_record(const Length& length, const StepBatch& batch, const Cancellation& cancellation) {
  StepBatch room;
  at::Tensor hidden;
  try {
    room = room_for(batch);
    fill(room, batch);
    hidden = compute(room, cancellation);
  } catch (const c10::OutOfMemoryError&) {
    graphs_.go_without(length);
    return compute(batch, cancellation);
  }
  static const Cancellation never;
  graphs_.record(length, [&] { return Io{std::move(room), {}}; }, [&](Io& io) { io.hidden = compute(io.batch, never); });
  return hidden;  // whether it was recorded or not
}

at::Tensor PromptGraphs::compute(const StepBatch& batch, const Cancellation& cancellation) const {
  return model_.language_model().forward(batch, pool_, cancellation, {});
}

}  // namespace facellm
