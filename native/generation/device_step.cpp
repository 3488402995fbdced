#include "generation/device_step.h"

#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>

#include "kernels/paged_decode_attention/paged_decode_attention.h"

namespace facellm {
namespace {

int64_t blocks_of(std::span<Row* const> rows) {
  int64_t count = 0;
  for (const auto* row : rows) count += static_cast<int64_t>(row->blocks.blocks().size());
  return count;
}

c10::Event timed_event(c10::Device device) { return {device.type(), c10::EventFlag::BACKEND_DEFAULT}; }

}  // namespace

bool DeviceStep::serves(const InternVl& model) {
  const auto& text = model.config().text;
  return model.options().device().is_cuda() &&
         takes_decode_heads(text.num_attention_heads, text.num_key_value_heads, text.head_dim);
}

int64_t DeviceStep::places_of(int64_t rows) {
  if (rows <= 8) return rows <= 2 ? rows : rows <= 4 ? 4 : 8;
  const int64_t multiple = rows <= 32 ? 8 : 16;
  return (rows + multiple - 1) / multiple * multiple;
}

DeviceStep::DeviceStep(const InternVl& model, const KvPool& pool, int64_t most_rows, int64_t most_blocks)
    : model_(model),
      pool_(pool),
      most_rows_(places_of(most_rows)),
      buffers_(model.options().device(), most_rows_, most_blocks, model.config().text.vocab_size) {
  for (auto& slot : ring_) {
    slot.chosen = at::empty({buffers_.chosen_bytes()}, at::TensorOptions(at::kByte).pinned_memory(true));
    slot.begin.emplace(timed_event(model.options().device()));
    slot.end.emplace(timed_event(model.options().device()));
  }
}

bool DeviceStep::takes(std::span<Row* const> rows) const {
  int64_t edits = 0;
  for (const auto* row : rows) {
    const auto& request = asked(*row);
    if (request.is_masked || request.sampling.top_log_probs > 0) return false;
    edits += static_cast<int64_t>(row->history.counts().size() + request.sampling.logit_bias.size() +
                                  (request.sampling.min_tokens > 0 ? request.eos_ids.size() : 0));
  }
  return static_cast<int64_t>(rows.size()) <= most_rows_ && edits <= StepBuffers::kMostEdits;
}

bool DeviceStep::continues(std::span<Row* const> rows) const {
  if (steps_.empty() || is_stale_ || !std::ranges::equal(steps_.back().rows, rows)) return false;
  return std::ranges::none_of(rows, [](const Row* row) { return edits_change(asked(*row).sampling, row->history); });
}

void DeviceStep::begin(std::span<Row* const> rows, uint64_t builds) {
  const int64_t places = places_of(static_cast<int64_t>(rows.size()));
  auto& slot = ring_[next_slot_];
  const auto stream = c10::impl::VirtualGuardImpl(c10::DeviceType::CUDA).getStream(model_.options().device());
  slot.begin->record(stream);
  const bool goes_on = continues(rows);
  const bool has_new_block = blocks_of(rows) != known_blocks_;
  is_stale_ = true;  // until all of it is on its way
  if (!goes_on) {
    buffers_.upload(rows, places);
  } else if (has_new_block) {
    buffers_.upload_blocks(rows);
  }
  if (builds != builds_) mixtures_.clear();  // they hold addresses of matrices that may have gone
  builds_ = builds;
  run(key_of(rows, places), places);
  buffers_.download_chosen(slot.chosen);
  slot.end->record(stream);
  is_stale_ = false;
  known_blocks_ = blocks_of(rows);
  steps_.push_back({{rows.begin(), rows.end()}, next_slot_});
  next_slot_ = 1 - next_slot_;
}

DeviceStep::Key DeviceStep::key_of(std::span<Row* const> rows, int64_t places) {
  Key key{static_cast<uint64_t>(places)};
  if (std::ranges::all_of(rows, [](const Row* row) { return row->request->stack == 0; })) return key;
  for (const auto* row : rows) {
    const uint64_t stack = row->request->stack;
    if (key.size() == 1 || key[key.size() - 2] != stack) key.insert(key.end(), {stack, 0});
    ++key.back();
  }
  return key;
}

void DeviceStep::run(const Key& key, int64_t places) {
  auto& graphs = key.size() == 1 ? base_graphs_ : mixtures_;
  auto* own = graphs.find(key);
  if (own == nullptr && graphs.is_due(key)) own = graphs.record(key, [] { return Io{}; }, [&](Io&) { compute(places); });
  if (own == nullptr) return compute(places);
  own->graph->replay();
}

void DeviceStep::compute(int64_t places) const {
  static const Cancellation never;
  const auto& language_model = model_.language_model();
  const auto numbers = buffers_.numbers(places);
  advance_rows(numbers, pool_.block_size());
  StepBatch batch;
  batch.embeddings = language_model.embed(buffers_.ids(places));
  batch.positions = numbers.positions;
  batch.slots = numbers.slots;
  batch.decode = DecodeRows{numbers.block_table, numbers.lengths, pool_.block_size(),
                            decode_splits(places, model_.config().text.num_key_value_heads)};
  const auto logits = language_model.logits(language_model.forward(batch, pool_, never, {}), {});
  choose_tokens(logits, buffers_.choice_rows(places), buffers_.chosen(places));
}

DeviceStep::Read DeviceStep::read() {
  const Begun step = std::move(steps_.front());
  steps_.pop_front();
  auto& slot = ring_[step.slot];
  slot.end->synchronize();
  Read result{{}, slot.begin->elapsedTime(*slot.end)};
  const auto chosen = buffers_.read(slot.chosen);
  for (size_t r = 0; r < step.rows.size(); ++r) {
    if (step.rows[r] == nullptr) continue;
    result.tokens.push_back({step.rows[r], {static_cast<int32_t>(chosen.ids[r]), chosen.log_probs[r]},
                             static_cast<ChoiceStatus>(chosen.statuses[r])});
  }
  return result;
}

void DeviceStep::forget(const Row& row) {
  for (auto& step : steps_) std::ranges::replace(step.rows, const_cast<Row*>(&row), static_cast<Row*>(nullptr));
  const bool is_anyone_left = std::ranges::any_of(steps_, [](const Begun& step) {
    return std::ranges::any_of(step.rows, [](const Row* one) { return one != nullptr; });
  });
  if (!is_anyone_left) steps_.clear();
}

}  // namespace facellm
