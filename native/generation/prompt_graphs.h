// A prompt's pass through the language model on a GPU, alone in its step, as a graph: launching a few hundred kernels takes the
// host longer than a few hundred tokens take the card. A graph is of one length; those of questions recur.
#pragma once

#include <ATen/ATen.h>

#include <utility>

#include "core/graph_cache.h"
#include "model/internvl.h"

namespace facellm {

class PromptGraphs {
 public:
  // More are worth their launches; and what they see is gathered for each layer.
  static constexpr int64_t kMostTokens = 1024, kMostSeen = 4096;
  // Of a length, without a graph. The last of them goes as it will be recorded, and is recorded when it has been computed.
  static constexpr int kRunsBefore = 3;
  // Kept: those used last.
  static constexpr size_t kMostGraphs = 16;

  PromptGraphs(const InternVl& model, const KvPool& pool) : model_(model), pool_(pool) {}

  // Tokens of one row, each seeing what stands before it; whether they do, and that no adapters are theirs, the caller knows.
  static bool takes(const StepBatch& batch);
  // As LanguageModel::forward(), and good until the next call. A graph that cannot be made or started costs nobody an answer: its
  // length goes without.
  at::Tensor forward(const StepBatch& batch, const Cancellation& cancellation);
  // Gives back the graphs' memory.
  void clear() { graphs_.clear(); }

 private:
  using Length = std::pair<int64_t, int64_t>;  // tokens, and slots that the last of them sees
  struct Io {
    StepBatch batch;
    at::Tensor hidden;
  };
  at::Tensor compute(const StepBatch& batch, const Cancellation& cancellation) const;
  at::Tensor compute_and_record(const Length& length, const StepBatch& batch, const Cancellation& cancellation);

  const InternVl& model_;
  const KvPool& pool_;
  GraphCache<Length, Io> graphs_{kRunsBefore - 1, kMostGraphs};
};

}  // namespace facellm
