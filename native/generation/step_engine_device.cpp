// Steps that are resident on a GPU: one is started before the tokens of the one before it are read.
#include <algorithm>
#include <variant>

#include "core/translate_exception.h"
#include "generation/step_engine.h"

namespace facellm {
namespace {

bool answers(const Row& row) { return row.phase == RowPhase::kAnswer && std::holds_alternative<Generation>(row.request->work); }

}  // namespace

// Whether the planned step can be started before those under way are read: it is of the same rows, none of which is known to
// end, and nobody comes or goes.
bool StepEngine::follows(const StepPlan& plan, const std::vector<Row*>& rows) const {
  if (!plan.preempted.empty() || !plan.admitted.empty() || !suspects_.empty()) return false;
  std::vector<Row*> planned;
  for (const auto& share : plan.shares) {
    auto& row = *rows[share.row];
    if (!answers(row) || row.size_on_device() >= row.most_tokens) return false;
    planned.push_back(&row);
  }
  std::ranges::stable_sort(planned, {}, [](const Row* row) { return row->request->stack; });
  return device_step_->continues(planned);
}

// False if the step is not one for it.
bool StepEngine::compute_on_device(const std::vector<RowShare>& shares) {
  if (!device_step_) return false;
  std::vector<Row*> rows;
  for (const auto& share : shares) {
    if (!answers(*share.row) || share.tokens != 1) return false;
    rows.push_back(share.row);
  }
  if (!device_step_->takes(rows)) return false;
  if (!device_step_->continues(rows)) settle();  // a block that was planned was not to be had
  std::erase_if(rows, [](const Row* row) { return row->is_finished; });
  if (rows.size() != shares.size()) return true;
  std::set<ActiveRequest*> requests;
  for (const auto* row : rows) requests.insert(row->request);
  const RequestId first = (*requests.begin())->ticket.id;
  try {
    set_adapter_rows(shares, DeviceStep::places_of(static_cast<int64_t>(rows.size())));
    device_step_->begin(rows, adapters_.builds());
    for (auto* row : rows) {
      ++row->computed;
      ++row->unread;
    }
    ++counts_.steps;
    counts_.tokens_computed += static_cast<int64_t>(rows.size());
    if (requests.size() == 1) suspects_.erase(first);
  } catch (...) {
    after_failure(requests, translate_current_exception());
    return true;
  }
  if (device_step_->under_way() > 1) read_device_step();
  return true;
}

void StepEngine::read_device_step() {
  const auto read = device_step_->read();
  std::set<ActiveRequest*> requests;
  for (const auto& [row, chosen, status] : read.tokens) {
    requests.insert(row->request);
    --row->unread;
    if (status != ChoiceStatus::kChosen) {
      // Where a bias or the least length leaves nothing, the ids that may be have logits of -infinity.
      row->result.error = non_finite_logits();
      finish_row(*row, FinishReason::kFailed);
      continue;
    }
    if (row->request->shares_blocks) row->blocks.publish(row->identities, row->size());
    accept(*row, chosen);
  }
  for (auto* request : requests) request->timings.decode += read.milliseconds;
}

// Reads what is under way: after it the host knows all tokens.
void StepEngine::settle() {
  while (device_step_->under_way() > 0) read_device_step();
}

}  // namespace facellm
