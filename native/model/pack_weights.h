// The linear layers' weights in the order of the processor's own kernels, for a model that only answers.
#pragma once

#include <cstdint>
#include <functional>

#include "core/cancellation.h"
#include "model/internvl.h"
#include "model/map_weights.h"

namespace facellm {

// What pack_weights() will take, in bytes; 0 where it would do nothing: not bf16, not on a CPU, or a processor that
// kernels/cpu does not make faster.
int64_t packed_bytes(InternVl& model);

// Packs every weight that kernels/cpu takes, the head among them, by all threads. Where the kernels serve every number of rows
// the original is not needed any more: pages of mapped files leave the process (and come back where they are asked for,
// as DoRA does), memory of the model's own is given up, so that at most one matrix lies there twice. `progress` is
// told the bytes packed. Throws kCancelled; then the model is not to be used.
void pack_weights(InternVl& model, const WeightFiles& files, const std::function<void(int64_t done)>& progress,
                  const Cancellation& cancellation);

}  // namespace facellm
