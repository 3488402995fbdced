// Exact log-probabilities of given answers. The prompt is computed once; all answers are then scored
// in a single forward pass as branches of a tree: each answer's tokens see the prompt and their own
// predecessors, not the other answers.
#pragma once

#include "generation/prefill.h"

namespace facellm {

ChooseResult choose(Session& session, const ChooseRequest& request,
                    const Cancellation& cancellation);

}  // namespace facellm
