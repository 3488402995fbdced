// How a token is chosen. Torch-free. What a field does not ask for costs nothing; TypeScript checks ranges.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace facellm {

// Whose log-probabilities are told: the model's own, before everything else, or those of the distribution that is
// drawn from, after everything else. Greedy choice draws from none: the softmax after penalties, bias and mask.
enum class LogProbs { kRaw, kProcessed };

struct TokenLogProb {
  int32_t id;
  float log_prob;
};

struct SamplingOptions {
  bool is_greedy = false;
  double temperature = 1;
  int64_t top_k = 0;              // 0: off
  double top_p = 1;               // 1: off
  double min_p = 0;               // 0: off
  double repetition_penalty = 1;  // 1: off; over prompt and generated ids
  uint64_t seed = 0;              // a draw follows from it, the choice's number and the token's alone
  double frequency_penalty = 0;   // taken from a score for each time its id was generated
  double presence_penalty = 0;    // taken once
  std::vector<std::pair<int32_t, float>> logit_bias = {};  // added to the scores of ids
  int64_t min_tokens = 0;         // ids that end an answer are forbidden before so many were generated
  int64_t top_log_probs = 0;      // of so many most probable ids
  LogProbs log_probs = LogProbs::kRaw;
};

}  // namespace facellm
