// The weights of a model from nothing, as a file of a checkpoint. Torch-free face for the binding.
#pragma once

#include <cstdint>
#include <string>

#include "core/cancellation.h"
#include "model/config.h"

namespace facellm {

struct RandomCheckpointRequest {
  InternVlConfig config;
  bool has_lm_head;  // else the head is the token embedding
  uint64_t seed;
  std::string file;
};

// Writes a safetensors file, fp32, and returns the number of parameters in it. Matrices and the token embedding are
// normal with variance 1 / fan-in, those that end a residual branch smaller by sqrt(2 * layers) (GPT-2's rule),
// positions of patches normal with 0.5, the class token with 0.02, norms and layer scales one, biases zero. The
// checkpoints' own rule (normal 0.02, layer scale 0.1) is made for widths of a thousand and more and leaves small
// models without a signal: measured in docs/decisions/2026-11-25-small-models.md. Drawn on the CPU in model order,
// the head last: one seed, one model, on every machine. Throws kRunWrite.
int64_t write_random_checkpoint(const RandomCheckpointRequest& request, const Cancellation& cancellation);

}  // namespace facellm
