// Who computes what in the next step: a pure function from the rows and what there is to a plan. Order of the
// policy after vLLM's v1 scheduler: rows that are answering first, then prompts under way in chunks, then
// rows that wait. Torch-free.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace facellm {

enum class RowPhase {
  kWaiting,  // holds no blocks
  kPrompt,   // admitted; its known tokens are being computed
  kAnswer,   // each step computes the token chosen last
  kTree,     // all tokens of a tree of answers in one step, or none
};

// What the planner sees of a row. Rows come in the order in which they are served: running ones by admission.
struct PlannerRow {
  RowPhase phase = RowPhase::kWaiting;
  int64_t length = 0;      // tokens in the cache; of a waiting row those that it would find there
  int64_t missing = 0;     // tokens to compute before the next choice; at least one
  int64_t ready = 0;       // of these, those before the first picture that is not encoded
  int64_t blocks = 0;      // held; of a waiting row those that it would find whole
  int64_t releasable = 0;  // become available when it is preempted
  int64_t pinned = 0;      // of a waiting row: idle blocks that are not available any more once it is admitted
  int64_t most_tokens = 0;  // that it may grow to
  uint64_t stack = 0;       // of adapters
  bool is_paused = false;   // its reader is slow, or its mask is not there yet
  bool waits_for_prefix = false;    // another row computes what this one could share
  bool reserves_everything = false;  // admitted only if it can never run out of blocks
};

struct PlanLimits {
  int64_t block_size = 64;
  int64_t total_blocks = 0;
  int64_t available_blocks = 0;
  int64_t most_rows = 16;
  int64_t most_stacks = 8;
  int64_t most_prompts = 4;          // computed at a time
  int64_t tokens_beside_answers = 256;  // a step's, while rows are answering
  int64_t tokens_alone = 2048;          // a step's, else
};

struct Share {
  size_t row;  // index into the planner's rows
  int64_t tokens;
};

struct StepPlan {
  std::vector<size_t> preempted;
  std::vector<size_t> admitted;
  std::vector<Share> shares;  // a row at most once, none of zero tokens
};

StepPlan plan_step(std::span<const PlannerRow> rows, const PlanLimits& limits);

}  // namespace facellm
