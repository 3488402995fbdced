// What a step is planned for: rows as the planner sees them, who is let in and who makes room.
#include <algorithm>

#include "generation/choice_tree.h"
#include "generation/step_engine.h"
#include "generation/step_engine_limits.h"

namespace facellm {
namespace {

int64_t common_length(const std::vector<TokenIdentity>& a, const std::vector<TokenIdentity>& b) {
  const auto shorter = static_cast<int64_t>(std::min(a.size(), b.size()));
  return std::mismatch(a.begin(), a.begin() + shorter, b.begin()).first - a.begin();
}

}  // namespace

std::vector<Row*> StepEngine::rows_in_order() {
  // Those behind wait whatever the plan: enough candidates to fill every place.
  constexpr size_t kCandidates = 64;
  auto rows = running_;
  for (auto* row : waiting_) {
    if (rows.size() >= running_.size() + kCandidates) break;
    rows.push_back(row);
  }
  return rows;
}

PlannerRow StepEngine::planner_row(const Row& row, const std::vector<Row*>& before) const {
  PlannerRow result;
  result.phase = row.phase;
  result.most_tokens = row.most_tokens;
  result.stack = row.request->stack;
  result.is_paused = row.request->ticket.client->is_slow() || row.undecided.defined();
  if (row.phase != RowPhase::kWaiting) {
    result.length = row.computed;
    result.blocks = static_cast<int64_t>(row.blocks.blocks().size());
    result.releasable = row.blocks.exclusive();
    result.missing = row.undecided.defined() ? 1 : row.size() - row.computed;
    if (row.phase == RowPhase::kTree) {
      const auto& choosing = std::get<Choosing>(row.request->work);
      result.missing = tree_tokens(choosing.request, next_group(choosing.request, choosing.next, kTreeTokens));
    }
    const auto& pictures = row.request->pictures;
    const bool is_ready = row.phase != RowPhase::kPrompt || std::ranges::all_of(pictures, [](const Picture& picture) {
                            return !picture.is_needed || picture.features.defined();
                          });
    result.ready = is_ready && !row.undecided.defined() ? result.missing : 0;
    return result;
  }
  const auto match = cache_.match(row.request->root, std::span(row.identities).first(row.identities.size() - 1));
  result.length = match.tokens;
  result.missing = row.size() - match.tokens;
  result.blocks = static_cast<int64_t>(match.full.size());
  for (const BlockId block : match.full) result.pinned += cache_.readers(block) == 0;
  result.reserves_everything = row.result.preemptions >= 2;
  // What another row is about to compute, this one takes over.
  const int64_t worthwhile = match.tokens + cache_.block_size() / 2;
  for (const auto* other : before) {
    if (other->request->root != row.request->root || other->computed >= other->size()) continue;
    if (other->request->ticket.client->is_slow()) continue;
    const int64_t shared = std::min(common_length(other->identities, row.identities), row.size() - 1);
    if (shared > worthwhile && other->computed < shared) result.waits_for_prefix = true;
  }
  return result;
}

StepPlan StepEngine::plan(const std::vector<Row*>& rows) {
  std::vector<PlannerRow> planner_rows;
  std::vector<Row*> before;
  for (auto* row : rows) {
    auto planner = planner_row(*row, before);
    if (row->phase == RowPhase::kWaiting) {
      planner.ready = has_pictures(*row->request, planner.length) ? planner.missing : 0;
    }
    planner_rows.push_back(planner);
    before.push_back(row);
  }
  limits_.available_blocks = cache_.available();
  auto plan = plan_step(planner_rows, limits_);
  if (!suspects_.empty()) {
    const auto is_suspect = [&](const Share& share) { return suspects_.contains(rows[share.row]->request->ticket.id); };
    const auto first = std::ranges::find_if(plan.shares, is_suspect);
    if (first != plan.shares.end()) plan.shares = {*first};
  }
  return plan;
}

void StepEngine::preempt(Row& row) {
  row.blocks.release();
  row.phase = RowPhase::kWaiting;
  row.computed = 0;
  row.undecided.reset();
  ++row.result.preemptions;
  ++counts_.preemptions;
  std::erase(running_, &row);
  waiting_.push_front(&row);
}

bool StepEngine::admit(Row& row) {
  auto& request = *row.request;
  std::optional<BlockCopy> copy;
  row.computed = row.blocks.restore(row.identities, copy);
  if (copy) pool_.copy(copy->from, copy->to, copy->tokens);
  if (!row.blocks.grow(row.size() + 1, row.most_tokens)) {
    row.blocks.release();
    row.computed = 0;
    return false;
  }
  begin(request);
  if (row.result.preemptions == 0) {
    row.result.cached_tokens = row.computed;
    counts_.tokens_cached += row.computed;
  }
  for (int64_t t = row.computed; t < request.prompt_tokens(); ++t) {
    const int32_t index = request.picture_of[static_cast<size_t>(t)];
    if (index < 0) continue;
    auto& picture = request.pictures[static_cast<size_t>(index)];
    picture.is_needed = true;
    if (!picture.features.defined()) picture.features = find_features(picture.identity);
  }
  row.phase = RowPhase::kPrompt;
  waiting_.remove(&row);
  running_.push_back(&row);
  return true;
}

// Of the cache, or of a request that holds them although the cache has no room.
at::Tensor StepEngine::find_features(const std::string& identity) {
  const auto cached = encoder_.find(identity);
  if (cached.defined()) return cached;
  for (const auto& request : requests_) {
    for (const auto& picture : request->pictures) {
      if (picture.features.defined() && picture.identity == identity) return picture.features;
    }
  }
  return {};
}

// Whether every picture with a placeholder from `begin` on is encoded.
bool StepEngine::has_pictures(const ActiveRequest& request, int64_t begin) {
  int32_t last = -1;
  for (int64_t t = begin; t < request.prompt_tokens(); ++t) {
    const int32_t index = request.picture_of[static_cast<size_t>(t)];
    if (index < 0 || index == last) continue;
    last = index;
    const auto& picture = request.pictures[static_cast<size_t>(index)];
    if (!picture.features.defined() && !find_features(picture.identity).defined()) return false;
  }
  return true;
}

}  // namespace facellm
