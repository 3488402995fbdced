// One step from beginning to end, and how requests end.
#include <c10/core/InferenceMode.h>

#include <algorithm>

#include "core/translate_exception.h"
#include "generation/choice_tree.h"
#include "generation/host_tensor.h"
#include "generation/step_engine.h"

namespace facellm {
namespace {

bool is_done(const ActiveRequest& request) {
  if (std::holds_alternative<Embedding>(request.work)) {
    return std::ranges::all_of(request.pictures, [](const auto& picture) { return picture.features.defined(); });
  }
  return std::ranges::all_of(request.rows, [](const auto& row) { return row->is_finished; });
}

}  // namespace

bool StepEngine::step() {
  if (requests_.empty()) return false;
  const c10::InferenceMode inference;
  const auto stream = stream_.enter();
  const auto clients = enter_clients();
  bool has_worked = false;
  try {
    drop_cancelled();
    bool has_chosen = choose_undecided();
    auto rows = rows_in_order();
    auto plan = this->plan(rows);
    if (device_step_ && device_step_->under_way() > 0 && !follows(plan, rows)) {
      settle();
      rows = rows_in_order();
      plan = this->plan(rows);
      has_chosen = true;
    }
    for (const size_t i : plan.preempted) preempt(*rows[i]);
    for (const size_t i : plan.admitted) admit(*rows[i]);
    const bool has_encoded = encode_by_turns(plan, rows);
    has_worked = has_encoded || has_chosen || !plan.preempted.empty() || !plan.admitted.empty();
    const auto shares = shares_of(plan, rows);
    note_memory();
    if (!shares.empty()) {
      if (!compute_on_device(shares)) compute(shares);
      has_worked = true;
    }
    require_unchanged_();
    deliver();
    has_worked = finish_done() || has_worked;
  } catch (...) {
    // Not of any one request: the weights changed, the GPU is lost, or memory ran out while planning.
    const auto error = translate_current_exception();
    events_.clear();
    while (!requests_.empty()) fail(*requests_.front(), error);
    has_worked = true;
  }
  publish_stats();
  for (const auto& client : clients) client->leave();
  return has_worked;
}

StepEngine::Clients StepEngine::enter_clients() {
  Clients clients;
  Clients gone;
  for (const auto& request : requests_) {
    const auto& client = request->ticket.client;
    if (clients.contains(client) || gone.contains(client)) continue;
    (client->enter() ? clients : gone).insert(client);
  }
  for (auto next = requests_.begin(); next != requests_.end();) {
    auto& request = **next++;
    if (gone.contains(request.ticket.client)) remove(request);
  }
  return clients;
}

void StepEngine::drop_cancelled() {
  for (auto next = requests_.begin(); next != requests_.end();) {
    auto& request = **next++;
    for (const auto& row : request.rows) {
      if (!row->is_finished && request.ticket.control->is_ended(row->number)) finish_row(*row, FinishReason::kCancelled);
    }
    if (!request.ticket.cancellation->requested() || is_done(request)) continue;
    const bool has_begun = std::ranges::any_of(request.rows, [](const auto& row) { return row->result.generated_tokens > 0; });
    if (!has_begun) {
      fail(request, Error(ErrorCode::kCancelled, "the work was stopped before it began"));
      continue;
    }
    // Stopping an answer that has begun is no failure: a stop string ends it this way.
    for (const auto& row : request.rows) {
      if (!row->is_finished) finish_row(*row, FinishReason::kCancelled);
    }
  }
}

void StepEngine::finish_row(Row& row, FinishReason reason) {
  row.is_finished = true;
  row.result.finish_reason = reason;
  row.undecided.reset();
  if (device_step_) device_step_->forget(row);
  row.blocks.release();
  std::erase(running_, &row);
  waiting_.remove(&row);
}

bool StepEngine::finish_done() {
  bool has_finished = false;
  for (auto next = requests_.begin(); next != requests_.end();) {
    auto& request = **next++;
    if (!is_done(request)) continue;
    finish(request);
    has_finished = true;
  }
  return has_finished;
}

void StepEngine::finish(ActiveRequest& request) {
  if (auto* generation = std::get_if<Generation>(&request.work)) {
    if (std::ranges::all_of(request.rows, [](const auto& row) { return row->result.error.has_value(); })) {
      fail(request, *request.rows[0]->result.error);
      return;
    }
    GenerateResult result{{}, request.timings, request.peak_bytes};
    for (const auto& row : request.rows) result.rows.push_back(row->result);
    generation->done(std::move(result));
  } else if (auto* choosing = std::get_if<Choosing>(&request.work)) {
    try {
      finish_scores(choosing->result);
    } catch (const Error& error) {
      fail(request, error);
      return;
    }
    const auto& row = request.rows[0]->result;
    auto result = std::move(choosing->result);
    result.prompt_tokens = row.prompt_tokens;
    result.image_tokens = row.image_tokens;
    result.cached_tokens = row.cached_tokens;
    result.timings = request.timings;
    result.peak_bytes = request.peak_bytes;
    choosing->done(std::move(result));
  } else {
    std::vector<HostTensor> tensors;
    for (const auto& picture : request.pictures) tensors.push_back(to_host(picture.input.key, picture.features));
    std::get<Embedding>(request.work).done(std::move(tensors));
  }
  remove(request);
}

void StepEngine::fail(ActiveRequest& request, const Error& error) {
  request.ticket.fail(error);
  remove(request);
}

void StepEngine::remove(ActiveRequest& request) {
  for (const auto& row : request.rows) {
    if (!row->is_finished) finish_row(*row, FinishReason::kCancelled);
  }
  const bool is_last = std::ranges::none_of(requests_, [&](const auto& other) {
    return other.get() != &request && other->root == request.root && !other->rows.empty();
  });
  if (!request.is_root_shared && !request.rows.empty() && is_last) cache_.forget(request.root);
  suspects_.erase(request.ticket.id);
  std::erase_if(requests_, [&](const auto& one) { return one.get() == &request; });
  if (requests_.empty()) encoder_.forget();
}

void StepEngine::deliver() {
  for (auto& [client, tokens] : events_) client->deliver(std::move(tokens));
  events_.clear();
}

}  // namespace facellm
