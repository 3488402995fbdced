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

// Those with a placeholder from `begin` on.
std::vector<Picture*> pictures_from(ActiveRequest& request, int64_t begin) {
  std::vector<Picture*> pictures;
  for (int64_t t = begin; t < request.prompt_tokens(); ++t) {
    const int32_t index = request.picture_of[static_cast<size_t>(t)];
    if (index < 0) continue;
    auto& picture = request.pictures[static_cast<size_t>(index)];
    if (pictures.empty() || pictures.back() != &picture) pictures.push_back(&picture);
  }
  return pictures;
}

}  // namespace

std::vector<Row*> StepEngine::rows_in_order() {
  // Those behind wait whatever the plan: enough candidates to fill every place.
  constexpr size_t kCandidates = 64;
  auto rows = running_;
  // Where nobody can be let in, nobody is looked up.
  const auto prompts = std::ranges::count(running_, RowPhase::kPrompt, &Row::phase);
  const bool is_full = static_cast<int64_t>(running_.size()) >= limits_.most_rows || prompts >= limits_.most_prompts;
  if (is_full) return rows;
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
    result.missing = row.undecided.defined() ? 1 : row.size_on_device() - row.computed;
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
      planner.ready = planner.missing;
      for (auto* picture : pictures_from(*row->request, planner.length)) {
        if (is_encoded(*picture)) continue;
        planner.ready = 0;
        // Where another row computes the picture, its pixels may never be needed.
        if (!planner.waits_for_prefix && !has_pixels(*row->request, *picture)) planner.is_paused = true;
      }
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
  // What was cached when the step was planned may have made room for another row since.
  const auto pictures = pictures_from(request, row.computed);
  const bool can_begin = std::ranges::all_of(
      pictures, [&](Picture* picture) { return is_encoded(*picture) || has_pixels(request, *picture); });
  if (!can_begin || !row.blocks.grow(row.size() + 1, row.most_tokens)) {
    row.blocks.release();
    row.computed = 0;
    return false;
  }
  begin(request);
  if (row.result.preemptions == 0) {
    row.result.cached_tokens = row.computed;
    counts_.tokens_cached += row.computed;
  }
  for (auto* picture : pictures) {
    picture->is_needed = true;
    if (!picture->features.defined()) picture->features = find_features(picture->identity);
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

bool StepEngine::is_encoded(Picture& picture) {
  return picture.features.defined() || find_features(picture.identity).defined();
}

// Its own pixels, or those that another request brought. Else a client is asked for them, one at a time: should that
// request leave, the next one's turn comes.
bool StepEngine::has_pixels(ActiveRequest& request, Picture& picture) {
  if (picture.input.rgb) return true;
  bool is_asked = false;
  for (const auto& other : requests_) {
    for (const auto& one : other->pictures) {
      if (one.input.key != picture.input.key) continue;
      is_asked = is_asked || one.is_asked;
      if (!one.input.rgb) continue;
      picture.input.rgb = one.input.rgb;
      picture.is_asked = false;
      return true;
    }
  }
  if (!is_asked) {
    picture.is_asked = true;
    request.ticket.client->want_pixels(request.ticket.id, static_cast<size_t>(&picture - request.pictures.data()));
  }
  return false;
}

}  // namespace facellm
