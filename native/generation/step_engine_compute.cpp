// What a step computes: pictures, one packed pass, and what its rows make of it.
#include <algorithm>

#include "core/stopwatch.h"
#include "core/translate_exception.h"
#include "generation/choice_tree.h"
#include "generation/step_engine.h"
#include "generation/step_engine_limits.h"
#include "image/preprocess.h"
#include "kernels/product/product.h"

namespace facellm {
namespace {

std::set<ActiveRequest*> requests_of(const std::vector<RowShare>& shares) {
  std::set<ActiveRequest*> requests;
  for (const auto& share : shares) requests.insert(share.row->request);
  return requests;
}

// Whether the share's row goes on by a token that nothing is awaited for.
bool chooses_next(const RowShare& share) {
  const auto* const generation = std::get_if<Generation>(&share.row->request->work);
  return generation != nullptr && !generation->request.is_masked && share.row->computed + share.tokens == share.row->size();
}

}  // namespace

// Somebody answers, and a CPU takes its time with everything else.
bool StepEngine::is_held_up() const {
  const auto answers = [](const Row* row) { return row->phase == RowPhase::kAnswer; };
  return model_.options().device().is_cpu() && std::ranges::any_of(running_, answers);
}

// Pictures, and prompts of the plan, take turns on a CPU: in a step of both whoever waits for a prompt's first token, or answers,
// would wait for somebody's tiles, too.
bool StepEngine::encode_by_turns(StepPlan& plan, const std::vector<Row*>& rows) {
  const auto is_prompt = [&](const Share& share) { return rows[share.row]->phase == RowPhase::kPrompt; };
  const bool are_both = model_.options().device().is_cpu() && std::ranges::any_of(plan.shares, is_prompt);
  const bool has_others = !plan.shares.empty() || (device_step_ && device_step_->under_way() > 0);
  const bool has_encoded = !(are_both && has_just_encoded_) && encode(has_others);
  if (are_both && has_encoded) std::erase_if(plan.shares, is_prompt);
  has_just_encoded_ = has_encoded;
  return has_encoded;
}

EncodeLimits StepEngine::encode_limits(bool are_several, bool is_beside_others) const {
  if (is_held_up()) return {kTilesBesideOthersOnCpu, kTowerSharesBesideAnswersOnCpu};
  // In deterministic mode the tower computes one shape only.
  if (fill_.multiple > 1) return {1};
  if (!model_.options().device().is_cpu()) return {.tiles = kTilesAtOnce, .waits = !is_beside_others};
  return {are_several ? kTilesBesideOthersOnCpu : kTilesOnCpu};
}

// Due is the moment, in tiles that the encoder has begun, at which a request's own would be done if they alone were computed from when it came. So a few
// tiles overtake many, and nobody is overtaken by whoever comes later than as many tiles as he has.
std::vector<StepEngine::Unencoded> StepEngine::unencoded() {
  std::vector<Unencoded> all;
  const AdapterIds* adapters = nullptr;
  for (const auto& request : requests_) {
    std::vector<Picture*> pictures;
    int64_t tiles = 0;
    // Those of one set of vision adapters at a time; the others' turn comes.
    const auto& own = adapters_.image_ids_of(request->stack);
    for (auto& picture : request->pictures) {
      if (!picture.is_needed || picture.features.defined()) continue;
      picture.features = find_features(picture.identity);
      if (picture.features.defined() || !has_pixels(*request, picture)) continue;
      pictures.push_back(&picture);
      tiles += tiles_of(picture);
    }
    if (pictures.empty()) continue;
    if (request->pictures_due < 0) request->pictures_due = encoder_.tiles_begun() + tiles;
    if (adapters == nullptr) adapters = &own;
    if (*adapters != own || (!suspects_.empty() && !all.empty())) continue;
    all.push_back({request.get(), std::move(pictures)});
  }
  std::ranges::stable_sort(all, {}, [](const Unencoded& one) { return one.request->pictures_due; });
  return all;
}

bool StepEngine::encode(bool is_beside_others) {
  const auto all = unencoded();
  std::vector<Picture*> wanted;
  std::set<ActiveRequest*> requests;
  for (const auto& [request, pictures] : all) {
    wanted.insert(wanted.end(), pictures.begin(), pictures.end());
    begin(*request);
    requests.insert(request);
  }
  bool has_encoded = false;
  if (wanted.empty()) {
    encoder_.forget();
  } else {
    try {
      const uint64_t stack = all.front().request->stack;
      const bool is_base = adapters_.image_ids_of(stack).empty();
      adapters_.set_all_rows(stack);
      Timings timings{};
      static const Cancellation never;
      const auto& cancellation = requests.size() == 1 ? *(*requests.begin())->ticket.cancellation : never;
      Stopwatch watch(model_.options().device());
      encoder_.encode(wanted, encode_limits(all.size() > 1, is_beside_others), is_base, timings, watch, cancellation, {});
      watch.read();
      for (auto* request : requests) {
        request->timings.preprocess += timings.preprocess;
        request->timings.vision += timings.vision;
      }
      if (requests.size() == 1) suspects_.erase((*requests.begin())->ticket.id);
    } catch (...) {
      after_failure(requests, translate_current_exception());
    }
    has_encoded = true;
  }
  return has_encoded;
}

std::vector<RowShare> StepEngine::shares_of(const StepPlan& plan, const std::vector<Row*>& rows) {
  std::vector<RowShare> shares;
  for (const auto& [i, tokens] : plan.shares) {
    auto& row = *rows[i];
    // A planned row has room by the plan's arithmetic; if that is ever wrong it waits, nothing worse.
    if (row.phase == RowPhase::kWaiting || row.is_finished) continue;
    RowShare share{&row, std::min(tokens, row.size_on_device() - row.computed)};
    if (row.phase == RowPhase::kTree) {
      const auto& choosing = std::get<Choosing>(row.request->work);
      share.choices = next_group(choosing.request, choosing.next, kTreeTokens);
      share.tokens = tree_tokens(choosing.request, share.choices);
    }
    if (row.blocks.grow(row.computed + share.tokens, row.most_tokens)) shares.push_back(std::move(share));
  }
  // Rows of one stack of adapters stand together.
  std::ranges::stable_sort(shares, {}, [](const RowShare& share) { return share.row->request->stack; });
  return shares;
}

void StepEngine::set_adapter_rows(const std::vector<RowShare>& shares, int64_t places) {
  std::vector<RowGroup> groups;
  int64_t rows = 0;
  for (const auto& share : shares) {
    const uint64_t stack = share.row->request->stack;
    if (groups.empty() || groups.back().stack != stack) groups.push_back({stack, rows, 0});
    groups.back().count += share.tokens;
    rows += share.tokens;
  }
  const int64_t filled = (rows + fill_.multiple - 1) / fill_.multiple * fill_.multiple;
  adapters_.set_rows(std::max(filled, places), groups);
}

void StepEngine::compute(const std::vector<RowShare>& shares) {
  static const Cancellation never;
  const auto requests = requests_of(shares);
  // A step that serves one request alone stops in its middle; else those that go on would lose it.
  const auto& cancellation = requests.size() == 1 ? *(*requests.begin())->ticket.cancellation : never;
  const RequestId first = (*requests.begin())->ticket.id;  // it may have ended when the step has
  std::map<ActiveRequest*, double Timings::*> phases;
  std::vector<int64_t> computed_before;
  for (const auto& share : shares) {
    computed_before.push_back(share.row->computed);
    phases[share.row->request] = share.row->phase == RowPhase::kPrompt ? &Timings::prefill : &Timings::decode;
  }
  double elapsed = 0;
  Stopwatch watch(model_.options().device());
  try {
    const auto lap = watch.lap(elapsed);
    set_adapter_rows(shares, 0);
    const auto computed = forward(shares, cancellation);
    ++counts_.steps;
    for (const auto& share : shares) counts_.tokens_computed += share.tokens;
    take(shares, computed, cancellation);
    if (requests.size() == 1) suspects_.erase(first);
  } catch (...) {
    // A row whose tokens were computed and that has chosen nothing computes them again, or it would wait for ever.
    for (size_t i = 0; i < shares.size(); ++i) {
      if (shares[i].row->phase == RowPhase::kTree) continue;
      shares[i].row->computed = computed_before[i];
      shares[i].row->undecided.reset();
    }
    const auto error = translate_current_exception();
    if (error.code() == ErrorCode::kOutOfMemory && prompt_graphs_) prompt_graphs_->clear();  // others need it more
    after_failure(requests, error);
    return;
  }
  watch.read();
  for (const auto& request : requests_) {
    const auto phase = phases.find(request.get());
    if (phase != phases.end()) request.get()->timings.*(phase->second) += elapsed;
  }
}

DecodeStep::Output StepEngine::forward(const std::vector<RowShare>& shares, const Cancellation& cancellation) {
  const auto batch = make_step_batch(model_, pool_, shares, fill_);
  const bool is_plain = shares.size() == 1 && shares[0].choices.empty() && shares[0].row->request->stack == 0;
  if (prompt_graphs_ && is_plain && PromptGraphs::takes(batch)) return {prompt_graphs_->forward(batch, cancellation), {}};
  if (decode_step_) {
    if (auto computed = decode_step_->forward(batch, std::ranges::all_of(shares, chooses_next), cancellation)) return *std::move(computed);
  }
  return {model_.language_model().forward(batch, pool_, cancellation, {}), {}};
}

void StepEngine::after_failure(const std::set<ActiveRequest*>& requests, const Error& error) {
  // A step for one request that was stopped half way: it leaves with the next plan.
  if (error.code() == ErrorCode::kCancelled) return;
  if (requests.size() == 1) {
    suspects_.erase((*requests.begin())->ticket.id);
    fail(**requests.begin(), error);
    return;
  }
  for (const auto* request : requests) suspects_.insert(request->ticket.id);
}

void StepEngine::take(const std::vector<RowShare>& shares, const DecodeStep::Output& computed, const Cancellation& cancellation) {
  const auto& hidden = computed.hidden;
  const auto& language_model = model_.language_model();
  // Rows whose last known token this was choose the next; the others have more of their prompt to come.
  std::vector<Row*> choosers;
  std::vector<int64_t> last;
  int64_t end = 0;
  for (const auto& share : shares) {
    end += share.tokens;
    auto& row = *share.row;
    auto* choosing = std::get_if<Choosing>(&row.request->work);
    if (!share.choices.empty()) {
      score_group(language_model, hidden.narrow(0, end - share.tokens, share.tokens), share.choices, fill_.multiple,
                  *choosing, cancellation);
      choosing->next = share.choices.back() + 1;
      row.blocks.shrink(row.computed);
    } else {
      row.computed += share.tokens;
      if (row.request->shares_blocks) row.blocks.publish(row.identities, row.computed);
      if (row.computed < row.size()) continue;
      if (choosing == nullptr && !has_mask(row)) {
        row.undecided = hidden.narrow(0, end - 1, 1).clone();
        continue;
      }
      if (choosing == nullptr) {
        choosers.push_back(&row);
        last.push_back(end - 1);
        continue;
      }
      score_first(language_model, hidden.narrow(0, end - 1, 1), fill_.multiple, *choosing);
      row.phase = RowPhase::kTree;
    }
    if (next_group(choosing->request, choosing->next, kTreeTokens).empty()) finish_row(row, FinishReason::kEos);
  }
  if (choosers.empty()) return;
  const bool is_every_token = static_cast<int64_t>(last.size()) == hidden.size(0);
  if (is_every_token && computed.logits.defined()) return choose(choosers, computed.logits);
  const auto rows = is_every_token ? hidden : hidden.index_select(0, at::tensor(last, at::kLong).to(hidden.device()));
  choose(choosers, logits_of(rows));
}

bool StepEngine::has_mask(Row& row) const {
  if (!std::get<Generation>(row.request->work).request.is_masked) return true;
  row.mask = row.request->ticket.control->mask(row.number, row.history.generated());
  return row.mask != nullptr;
}

// Rows that were computed before their masks came, and whose masks have come.
bool StepEngine::choose_undecided() {
  std::vector<Row*> rows;
  std::vector<at::Tensor> hidden;
  std::set<ActiveRequest*> requests;
  for (auto* row : running_) {
    if (!row->undecided.defined() || row->request->ticket.client->is_slow() || !has_mask(*row)) continue;
    // After a failure each request has a turn of its own.
    if (!suspects_.empty() && !requests.empty() && !requests.contains(row->request)) continue;
    requests.insert(row->request);
    rows.push_back(row);
    hidden.push_back(row->undecided);
  }
  if (rows.empty()) return false;
  const RequestId first = (*requests.begin())->ticket.id;
  try {
    choose(rows, logits_of(at::cat(hidden)));
    if (requests.size() == 1) suspects_.erase(first);
  } catch (...) {
    after_failure(requests, translate_current_exception());
  }
  return true;
}

// hidden: [rows, D], each row's last.
at::Tensor StepEngine::logits_of(const at::Tensor& hidden) const {
  return model_.language_model().logits(fill_rows(hidden, fill_.multiple), {});
}

void StepEngine::choose(const std::vector<Row*>& rows, const at::Tensor& logits) {
  auto chosen = next_tokens(logits, rows, scratch_);
  for (size_t i = 0; i < rows.size(); ++i) {
    if (auto* token = std::get_if<Chosen>(&chosen[i])) {
      accept(*rows[i], std::move(*token));
    } else {
      rows[i]->result.error = std::get<Error>(chosen[i]);
      finish_row(*rows[i], FinishReason::kFailed);
    }
  }
}

void StepEngine::accept(Row& row, Chosen chosen) {
  auto& generation = std::get<Generation>(row.request->work);
  const int32_t id = chosen.id;
  row.phase = RowPhase::kAnswer;
  row.undecided.reset();
  row.ids.push_back(id);
  row.identities.push_back(id);
  row.history.add(id);
  ++row.result.generated_tokens;
  ++counts_.tokens_generated;
  events_[row.request->ticket.client].push_back(
      {row.request->ticket.id, row.number, id, chosen.log_prob, chosen.mask_mass, std::move(chosen.top)});
  const bool is_end = std::ranges::count(generation.request.eos_ids, id) > 0;
  if (is_end || row.size() >= row.most_tokens) finish_row(row, is_end ? FinishReason::kEos : FinishReason::kLength);
}

}  // namespace facellm
