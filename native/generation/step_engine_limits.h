// What a loaded model may use at once. Torch-free.
#pragma once

#include "model/load_request.h"
#include "scheduling/plan_step.h"

namespace facellm {

// Tokens of a tree of answers in one step: room is left beside it for the rows that answer.
constexpr int64_t kTreeTokens = 128;
// Tiles of the vision tower in one step: on a CPU more of them gain a few hundredths, and whoever comes meanwhile waits for all.
constexpr int64_t kTilesOnCpu = 2;
constexpr int64_t kTilesBesideOthersOnCpu = 1;
// Parts in which the tower computes them there: a quarter of a tile takes about what 256 tokens of a prompt do.
constexpr int64_t kTowerSharesBesideAnswersOnCpu = 4;

// Rows of a pass in deterministic mode.
constexpr int64_t kInvariantRows = 256;

// slot_bytes: keys and values of one token.
PlanLimits plan_limits(const LoadRequest& request, int64_t slot_bytes, bool is_cpu);
// Throws kPromptTooLong for a prompt that leaves no room for an answer.
void check_context(int64_t prompt_tokens, int64_t max_context);

}  // namespace facellm
