#include "generation/step_buffers.h"

#include <algorithm>
#include <cstring>

namespace facellm {

StepBuffers::StepBuffers(c10::Device device, int64_t most_rows, int64_t most_blocks, int64_t vocabulary)
    : most_rows_(most_rows),
      most_blocks_(most_blocks),
      vocabulary_(vocabulary),
      log_probs_(8 * most_rows),
      statuses_(log_probs_ + 4 * most_rows),
      positions_(statuses_ + 4 * most_rows),
      numbers_(positions_ + 8 * most_rows),
      rules_(numbers_ + 8 * most_rows),
      table_(rules_ + static_cast<int64_t>(sizeof(ChoiceRule)) * most_rows),
      edits_(table_ + 4 * most_rows * most_blocks),
      end_(edits_ + static_cast<int64_t>(sizeof(ScoreEdit)) * kMostEdits),
      memory_(at::empty({end_}, at::TensorOptions(at::kByte).device(device))),
      lengths_(at::empty({most_rows}, at::TensorOptions(at::kLong).device(device))),
      slots_(at::empty_like(lengths_)),
      pinned_(device, end_) {}

at::Tensor StepBuffers::part(int64_t begin, at::ScalarType dtype, int64_t count) const {
  return memory_.narrow(0, begin, count * static_cast<int64_t>(c10::elementSize(dtype))).view(dtype);
}

RowNumbers StepBuffers::numbers(int64_t places) const {
  return {part(positions_, at::kLong, places), part(numbers_, at::kLong, places), lengths_.narrow(0, 0, places),
          slots_.narrow(0, 0, places), part(table_, at::kInt, places * most_blocks_).view({places, most_blocks_})};
}

ChoiceRows StepBuffers::choice_rows(int64_t places) const {
  return {part(rules_, at::kByte, places * static_cast<int64_t>(sizeof(ChoiceRule))), part(numbers_, at::kLong, places),
          part(edits_, at::kByte, end_ - edits_), {}};
}

ChosenRows StepBuffers::chosen(int64_t places) const {
  return {part(ids_, at::kLong, places), part(log_probs_, at::kFloat, places), part(statuses_, at::kInt, places)};
}

void StepBuffers::write_blocks(std::span<Row* const> rows, uint8_t* table) const {
  for (size_t r = 0; r < rows.size(); ++r) {
    std::vector<int32_t> blocks(rows[r]->blocks.blocks().begin(), rows[r]->blocks.blocks().end());
    std::memcpy(table + 4 * most_blocks_ * static_cast<int64_t>(r), blocks.data(), 4 * blocks.size());
  }
}

void StepBuffers::upload(std::span<Row* const> rows, int64_t places) {
  std::vector<int64_t> ids(static_cast<size_t>(places), 0), positions(ids.size(), -1), numbers(ids.size(), 0);
  std::vector<ChoiceRule> rules(ids.size());
  std::vector<ScoreEdit> edits;
  for (size_t r = 0; r < rows.size(); ++r) {
    const auto& row = *rows[r];
    const auto& request = std::get<Generation>(row.request->work).request;
    ids[r] = row.ids.back();
    // Each step begins by moving on: these are of the one before.
    positions[r] = row.computed - 1;
    numbers[r] = row.history.generated() - 1;
    rules[r] = choice_rule(request.sampling, row.choice);
    append_edits(request.sampling, {{}, row.history, row.choice, request.eos_ids}, vocabulary_, edits, rules[r]);
  }
  const auto edit_bytes = static_cast<int64_t>(sizeof(ScoreEdit) * edits.size());
  const auto staged = pinned_.next(edits_ + edit_bytes, at::kByte);
  auto* const bytes = staged.mutable_data_ptr<uint8_t>();
  const auto put = [&](int64_t begin, const auto& values) {
    std::memcpy(bytes + begin, values.data(), values.size() * sizeof(values[0]));
  };
  put(ids_, ids);
  put(positions_, positions);
  put(numbers_, numbers);
  put(rules_, rules);
  write_blocks(rows, bytes + table_);
  put(edits_, edits);
  pinned_.send(staged, memory_.narrow(0, 0, edits_ + edit_bytes));
}

void StepBuffers::upload_blocks(std::span<Row* const> rows) {
  const int64_t size = 4 * most_blocks_ * static_cast<int64_t>(rows.size());
  const auto staged = pinned_.next(size, at::kByte);
  write_blocks(rows, staged.mutable_data_ptr<uint8_t>());
  pinned_.send(staged, memory_.narrow(0, table_, size));
}

StepBuffers::HostChosen StepBuffers::read(const at::Tensor& downloaded) const {
  const auto* const bytes = downloaded.const_data_ptr<uint8_t>();
  return {reinterpret_cast<const int64_t*>(bytes), reinterpret_cast<const float*>(bytes + log_probs_),
          reinterpret_cast<const int32_t*>(bytes + statuses_)};
}

}  // namespace facellm
