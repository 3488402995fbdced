// One row's choice of the next token, in the order of transformers' logits processors: repetition
// penalty, temperature, top-k, top-p, min-p, then a draw. Torch-free.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "generation/face_llm.h"

namespace facellm {

class Sampler {
 public:
  // `row` selects an independent stream of the seed, so that a row's draws do not depend on its
  // neighbours.
  Sampler(const SamplingOptions& options, uint64_t row);

  // logits [V] fp32; seen_ids: prompt and generated ids. Greedy takes the largest, lowest id on ties.
  // Throws kNonFinite.
  int32_t sample(std::span<const float> logits, std::span<const int32_t> seen_ids);

  // The distribution that sample() draws from, [V]; for tests and inspection.
  std::vector<float> probabilities(std::span<const float> logits,
                                   std::span<const int32_t> seen_ids) const;

 private:
  struct Candidate {
    int32_t id;
    float score;
    double weight;  // unnormalised probability
  };
  std::vector<Candidate> candidates(std::span<const float> logits,
                                    std::span<const int32_t> seen_ids) const;

  SamplingOptions options_;
  std::mt19937_64 generator_;
};

}  // namespace facellm
