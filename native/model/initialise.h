// Weights for a model that is trained from nothing.
#pragma once

#include <cstdint>

#include "model/internvl.h"

namespace facellm {

// Fills every parameter: matrices and the token embedding (which may be the head, too) normal with variance
// 1 / fan-in, those that end a residual branch smaller by sqrt(2 * layers) (GPT-2's rule), positions of patches
// normal with 0.5, norms and layer scales one, biases zero. The checkpoints' own rule (normal 0.02, layer scale 0.1)
// is made for widths of a thousand and more and leaves small models without a signal: measured in
// docs/decisions/2026-11-25-small-models.md. Drawn on the CPU in fp32 in model order: one seed, one model, on
// every device.
void initialise(const InternVl& model, uint64_t seed);

}  // namespace facellm
