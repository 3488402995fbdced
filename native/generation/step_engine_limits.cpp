#include "generation/step_engine_limits.h"

#include <algorithm>
#include <string>

#include "core/error.h"
#include "lora/adapter_stacks.h"

namespace facellm {

PlanLimits plan_limits(const LoadRequest& request, int64_t slot_bytes, bool is_cpu) {
  PlanLimits limits;
  limits.block_size = 64;
  limits.total_blocks = std::max<int64_t>(1, request.kv_bytes / (slot_bytes * limits.block_size));
  limits.most_rows = request.max_rows;
  // A step of a CPU takes 50 ms and more with few tokens already: those who answer must not wait for long prompts.
  limits.tokens_beside_answers = is_cpu ? 256 : 2048;
  limits.tokens_alone = is_cpu ? 2048 : 8192;
  // Few enough sizes of a pass that all of them can be tried when a model is loaded (invariance_check.h).
  if (request.is_deterministic) limits.tokens_alone = limits.tokens_beside_answers = kInvariantRows;
  limits.most_stacks = static_cast<int64_t>(AdapterStacks::kMostBuilt);
  return limits;
}

void check_context(int64_t prompt_tokens, int64_t max_context) {
  if (prompt_tokens < max_context) return;
  throw Error(ErrorCode::kPromptTooLong, "the prompt has " + std::to_string(prompt_tokens) +
                                             " tokens, this model was loaded for " + std::to_string(max_context) +
                                             " of prompt and answer together; use fewer tiles, images or words, or a "
                                             "larger maxContext");
}

}  // namespace facellm
