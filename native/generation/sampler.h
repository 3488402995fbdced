// One row's choice of its next token, in this order: repetition, frequency and presence penalty, bias, least length,
// mask; then the largest score, or temperature, top-k, top-p, min-p (the order of transformers' processors) and a draw.
// A function of its arguments: the draw follows from seed, choice and number of the token (core/philox.h), so that
// company, preemption and order change nothing. Torch-free.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "generation/score_edits.h"
#include "generation/score_scan.h"

namespace facellm {

struct Draw {
  int32_t id;
  float log_prob;
  float mask_mass;  // the model's own probability of all ids that the mask allows
  std::span<const TokenLogProb> top;  // most probable first; valid until the scratch is used again
};

struct Candidate {
  int32_t id;
  float score;    // after temperature
  double weight;  // probability relative to the most probable id's
};

// Memory of a draw, kept from one to the next so that none is allocated; one for all rows of a thread.
struct SamplerScratch {
  std::vector<float> scores;
  ScoreScan raw, masked, edited;
  std::vector<float> maxima;
  std::vector<Candidate> kept, best;
  std::vector<TokenLogProb> top;
};

// Throws kNonFinite for logits that hold NaN or infinity, kInvalidArgument where mask and least length leave no id.
Draw draw_token(const SamplingOptions& options, const DrawInput& input, SamplerScratch& scratch);

// The distribution that draw_token() draws from, [V]; for tests and inspection.
std::vector<float> draw_probabilities(const SamplingOptions& options, const DrawInput& input,
                                      SamplerScratch& scratch);

}  // namespace facellm
