// A prompt's pass through the language model on a GPU, alone in its step, as a graph: launching a few hundred kernels takes the
// host longer than a few hundred tokens take the card. A graph is of one length; those of questions recur.
#pragma once

#include <ATen/ATen.h>

#include <map>
#include <memory>
#include <utility>

#include "core/device_graph.h"
#include "model/internvl.h"

namespace facellm {

class PromptGraphs {
 public:
  // More are worth their launches.
  static constexpr int64_t kMostTokens = 1024;
  // Of a length, without a graph: many come but once; and the last of them as it will be recorded, since libraries set themselves
  // up at their first call.
  static constexpr int kRunsBefore = 2;
  // Kept: those used last, counted or recorded.
  static constexpr size_t kMostLengths = 32;

  PromptGraphs(const InternVl& model, const KvPool& pool) : model_(model), pool_(pool) {}

  // Tokens of one row, each seeing what stands before it; whether they do, and that no adapters are theirs, the caller knows.
  static bool takes(const StepBatch& batch);
  // As LanguageModel::forward(), and good until the next call.
  at::Tensor forward(const StepBatch& batch);

 private:
  using Length = std::pair<int64_t, int64_t>;  // tokens, and slots that the last of them sees
  struct Recorded {
    int runs = 0;
    uint64_t last_use = 0;
    bool has_no_room = false;
    StepBatch batch;  // at addresses that the graph knows
    at::Tensor hidden;
    std::unique_ptr<DeviceGraph> graph;
  };
  at::Tensor compute(const StepBatch& batch) const;
  void make_room(Recorded& own, const StepBatch& batch);
  void record(Recorded& own);
  void drop_oldest();

  const InternVl& model_;
  const KvPool& pool_;
  std::map<Length, Recorded> lengths_;
  uint64_t uses_ = 0;
};

}  // namespace facellm
