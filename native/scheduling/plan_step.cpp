#include "scheduling/plan_step.h"

#include <algorithm>
#include <set>

namespace facellm {
namespace {

class Planner {
 public:
  Planner(std::span<const PlannerRow> rows, const PlanLimits& limits)
      : rows_(rows), limits_(limits), available_(limits.available_blocks), is_preempted_(rows.size()) {
    for (const auto& row : rows_) {
      is_answering_ = is_answering_ || row.phase == RowPhase::kAnswer;
      running_ += row.phase != RowPhase::kWaiting;
      if (row.phase != RowPhase::kWaiting) stacks_.insert(row.stack);
    }
    budget_ = is_answering_ ? limits.tokens_beside_answers : limits.tokens_alone;
  }

  StepPlan plan() {
    answers(RowPhase::kAnswer);
    answers(RowPhase::kTree);
    prompts();
    admissions();
    return std::move(plan_);
  }

 private:
  int64_t blocks_for(int64_t tokens) const { return (tokens + limits_.block_size - 1) / limits_.block_size; }

  // Room for so many more tokens of a running row: idle blocks first, then those of the rows admitted last, at
  // worst its own. Rows before it in order keep theirs, so the first row always goes on.
  bool make_room(size_t index, int64_t tokens) {
    const auto& row = rows_[index];
    const int64_t needed = std::max<int64_t>(0, blocks_for(row.length + tokens) - row.blocks);
    for (size_t victim = rows_.size(); needed > available_ && victim-- > 0;) {
      if (rows_[victim].phase == RowPhase::kWaiting || is_preempted_[victim]) continue;
      if (victim < index) return false;
      preempt(victim);
      if (victim == index) return false;
    }
    if (needed > available_) return false;
    available_ -= needed;
    return true;
  }

  void preempt(size_t index) {
    is_preempted_[index] = true;
    plan_.preempted.push_back(index);
    available_ += rows_[index].releasable;
    --running_;
    // One that was planned before it lost its blocks is not computed; what it took is free again.
    std::erase_if(plan_.shares, [&](const Share& share) {
      if (share.row != index) return false;
      available_ += std::max<int64_t>(0, blocks_for(rows_[index].length + share.tokens) - rows_[index].blocks);
      budget_ += share.tokens;
      return true;
    });
  }

  // Rows that run never have more stacks than a step can hold.
  bool takes_stack(uint64_t stack) {
    if (static_cast<int64_t>(stacks_.size()) >= limits_.most_stacks && !stacks_.contains(stack)) return false;
    stacks_.insert(stack);
    return true;
  }

  void share(size_t index, int64_t tokens) {
    plan_.shares.push_back({index, tokens});
    budget_ -= tokens;
  }

  void answers(RowPhase phase) {
    for (size_t i = 0; i < rows_.size(); ++i) {
      const auto& row = rows_[i];
      if (row.phase != phase || row.is_paused || is_preempted_[i]) continue;
      // A tree that is larger than any budget has a step of its own.
      if (row.missing > budget_ && !(phase == RowPhase::kTree && plan_.shares.empty())) continue;
      if (make_room(i, row.missing)) share(i, row.missing);
    }
  }

  // As much as there is room for, so that a chunk ends where a block does, or with the prompt.
  int64_t chunk(const PlannerRow& row, int64_t most) const {
    const int64_t ready = std::min(row.ready, row.missing);
    if (ready <= most) return ready;
    const int64_t end = (row.length + most) / limits_.block_size * limits_.block_size;
    return end > row.length ? end - row.length : most;
  }

  void prompt(size_t index, int64_t most) {
    const int64_t tokens = chunk(rows_[index], std::min(most, budget_));
    if (tokens > 0 && make_room(index, tokens)) share(index, tokens);
  }

  void prompts() {
    int64_t count = 0;
    for (const auto& row : rows_) count += row.phase == RowPhase::kPrompt && row.ready > 0;
    count = std::min(count, limits_.most_prompts);
    const int64_t each = count == 0 ? 0 : std::max<int64_t>(1, budget_ / count);
    for (size_t i = 0; i < rows_.size() && budget_ > 0; ++i) {
      if (rows_[i].phase == RowPhase::kPrompt && !is_preempted_[i]) prompt(i, each);
    }
  }

  void admissions() {
    // Rows that lost their blocks in this step would take them back from those who needed them.
    if (!plan_.preempted.empty()) return;
    int64_t under_way = 0;
    // One that waits for what its caller has to say holds no place.
    for (const auto& row : rows_) {
      under_way += row.phase == RowPhase::kPrompt && !(row.is_paused && row.ready == 0);
    }
    // One long prompt leaves half of a step to those behind it.
    const int64_t half = std::max<int64_t>(1, (is_answering_ ? limits_.tokens_beside_answers : limits_.tokens_alone) / 2);
    for (size_t i = 0; i < rows_.size(); ++i) {
      const auto& row = rows_[i];
      if (row.phase != RowPhase::kWaiting || row.is_paused || row.waits_for_prefix) continue;
      if (running_ >= limits_.most_rows || under_way >= limits_.most_prompts || budget_ <= 0) return;
      // Nobody overtakes: a large request, or one of another stack, would wait for ever.
      if (!fits(row) || !takes_stack(row.stack)) return;
      plan_.admitted.push_back(i);
      ++running_;
      available_ -= row.pinned;
      const int64_t tokens = chunk(row, others_wait(i) ? std::min(budget_, half) : budget_);
      // Blocks of the whole prompt are spoken for, whatever this step computes of it.
      available_ -= blocks_for(row.length + row.missing + 1) - row.blocks;
      if (tokens > 0) share(i, tokens);
      if (tokens < row.missing) ++under_way;
    }
  }

  bool others_wait(size_t index) const {
    return std::any_of(rows_.begin() + static_cast<int64_t>(index) + 1, rows_.end(), [](const PlannerRow& row) {
      return row.phase == RowPhase::kWaiting && !row.is_paused && !row.waits_for_prefix;
    });
  }

  bool fits(const PlannerRow& row) const {
    const int64_t tokens = row.reserves_everything ? row.most_tokens : row.length + row.missing + 1;
    const int64_t needed = blocks_for(tokens) - row.blocks + row.pinned;
    // Room for others to grow, or the next step would preempt this one.
    const int64_t reserve = running_ == 0 ? 0 : std::max<int64_t>(1, limits_.total_blocks / 20);
    return needed + reserve <= available_;
  }

  std::span<const PlannerRow> rows_;
  const PlanLimits& limits_;
  int64_t available_;
  int64_t budget_ = 0;
  int64_t running_ = 0;
  bool is_answering_ = false;
  std::set<uint64_t> stacks_;
  std::vector<bool> is_preempted_;
  StepPlan plan_;
};

}  // namespace

StepPlan plan_step(std::span<const PlannerRow> rows, const PlanLimits& limits) {
  return Planner(rows, limits).plan();
}

}  // namespace facellm
