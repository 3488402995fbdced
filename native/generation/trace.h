// Every stage of one forward pass over a prompt, under the oracle's names (golden tests, doctor). Beside the engine:
// its own small pool, no cache.
#pragma once

#include "generation/request.h"
#include "model/internvl.h"
#include "model/load_request.h"

namespace facellm {

std::vector<HostTensor> trace_prompt(const InternVl& model, const Preprocessing& preprocessing, const Prompt& prompt,
                                     const Cancellation& cancellation);

}  // namespace facellm
