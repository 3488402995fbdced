// One forward pass over a prompt, beside the engine: its own small pool, no cache.
#pragma once

#include "generation/request.h"
#include "model/internvl.h"
#include "model/load_request.h"

namespace facellm {

// Every stage, under the oracle's names (golden tests, doctor).
std::vector<HostTensor> trace_prompt(const InternVl& model, const Preprocessing& preprocessing, const Prompt& prompt,
                                     const Cancellation& cancellation);

// Logits of the last `count` positions, [count, V]. Throws kInvalidArgument for more than there are.
HostTensor last_logits(const InternVl& model, const Preprocessing& preprocessing, const Prompt& prompt, int64_t count,
                       const Cancellation& cancellation);

}  // namespace facellm
