// A prompt with its pictures into the key/value cache: tiles, projected vectors, one forward pass
// over what no cache holds.
#pragma once

#include <ATen/ATen.h>

#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/cancellation.h"
#include "core/stopwatch.h"
#include "core/trace.h"
#include "generation/face_llm.h"
#include "generation/prefix_cache.h"
#include "lora/adapter_stacks.h"
#include "model/image_feature_cache.h"
#include "model/internvl.h"

namespace facellm {

// What lives as long as a loaded model: caches, a number for every picture met so far, and adapters. The
// caller has made the request's stack that of all rows (AdapterStacks::set_all_rows).
struct Session {
  const InternVl& model;
  Preprocessing preprocessing;
  ImageFeatureCache image_features;
  PrefixCache prefixes;
  std::unordered_map<std::string, int64_t> image_numbers;
  AdapterStacks adapters;
  uint64_t stack = 0;      // of `adapters`: the request's
  int64_t tiles_encoded = 0;  // by the vision tower, since the model was loaded
};

// Projected vectors of each image, [tokens, D] in the model's dtype. Pictures not in the cache are
// cut and encoded together, a bounded number of tiles on the device at a time. Laps of timings.preprocess
// and timings.vision; traces tiles_u8, and pixel_values of the tiles at hand.
std::vector<at::Tensor> encode_images(Session& session, std::span<const ImageInput> images,
                                      Timings& timings, Stopwatch& watch,
                                      const Cancellation& cancellation, const Trace& trace);

// Throws kPromptTooLong, kImageTokenMismatch, or kInvalidArgument for an id outside the vocabulary,
// before any work.
void check_prompt(const InternVlConfig& config, const Prompt& prompt);

struct PrefilledPrompt {
  at::Tensor hidden_states;  // [1, computed tokens, D] before the final norm
  int64_t image_tokens = 0;
  int64_t cached_tokens = 0;
};

// Fills the empty one-row cache. `features`: what encode_images() gave for the prompt's images. A lap of
// timings.prefill.
PrefilledPrompt prefill(Session& session, const Prompt& prompt, const std::vector<at::Tensor>& features,
                        KvCache& cache, bool uses_prefix_cache, Timings& timings,
                        Stopwatch& watch, const Cancellation& cancellation, const Trace& trace);

}  // namespace facellm
