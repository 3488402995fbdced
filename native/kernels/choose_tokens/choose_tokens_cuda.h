// Raw-pointer launcher, and the plain data that it shares with the host; see choose_tokens.h. Torch-free.
#pragma once

#include <cstdint>
#include <limits>

typedef struct CUstream_st* cudaStream_t;

namespace facellm {

// How one row's token is chosen: generation/sampling_options.h, as numbers that a kernel reads.
struct ChoiceRule {
  uint64_t seed = 0;
  double top_p = 1;                                               // 1: off
  double log_min_p = -std::numeric_limits<double>::infinity();    // -infinity: off
  float temperature = 1;
  float repetition = 1, frequency = 0, presence = 0;              // penalties
  uint32_t choice = 0;
  int32_t top_k = 0;                                              // 0: off
  int32_t edits_begin = 0, edits_end = 0;                         // of the list of edits, ids ascending, none twice
  int32_t mask = -1;                                              // which of the masks; -1: none
  int32_t is_greedy = 1;
  int32_t is_processed = 0;                                       // log-probabilities after everything else
  int32_t reserved = 0;
};

// What is done to one id's score: penalties by how often it was generated (0: it stands in the prompt alone; -1: none),
// then the bias; -infinity forbids it.
struct ScoreEdit {
  int32_t id;
  int32_t count;
  float bias;
};

enum class ChoiceStatus : int32_t { kChosen = 0, kNonFinite = 1, kNothingLeft = 2 };

// Scores a block of the first kernel.
constexpr int64_t kChoiceChunk = 256;
// Of those, the row's largest score and the sum of exp((score - it) / temperature).
struct ChunkScan {
  float max, sum;
};

struct ChooseTokens {
  const void* logits;        // [R, V] fp32 or bf16
  const ChoiceRule* rules;   // [R]
  const int64_t* numbers;    // [R]: of the token among those generated
  const ScoreEdit* edits;    // of all rows
  const uint32_t* masks;     // [masks, words of 32 ids]
  float* scores;             // [R, V]: after mask and edits
  ChunkScan *raw, *edited;   // [R, chunks]
  int64_t* ids;              // [R]: the results
  float* log_probs;          // [R]
  int32_t* statuses;         // [R]
  int64_t rows, vocabulary;
};

void choose_tokens_cuda(const ChooseTokens& work, bool is_bf16, cudaStream_t stream);

}  // namespace facellm
