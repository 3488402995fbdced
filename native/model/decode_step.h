// A step of few rows of one token each on a CPU, whose matrices are packed: all of it by raw pointers on a team of threads
// (kernels/cpu/decode_layers.h). LanguageModel::forward() serves every other batch, and is what this one is tested against.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <optional>

#include "kernels/cpu/decode_layers.h"
#include "kernels/cpu/prefetch_choice.h"
#include "model/language_model.h"

namespace facellm {

class DecodeStep {
 public:
  DecodeStep(const LanguageModel& model, const KvPool& pool) : model_(model), pool_(pool) {}

  struct Output {
    at::Tensor hidden;  // as LanguageModel::forward() gives it
    at::Tensor logits;  // as LanguageModel::logits() gives it; undefined where not asked for, or where the head goes another way
  };
  // The same bits, or nothing where the batch or the model as it stands needs the other way: rows of more than a token, too many of them,
  // extensions that do more than add, matrices that are not packed or that other kernels multiply. Throws kCancelled.
  std::optional<Output> forward(const StepBatch& batch, bool wants_logits, const Cancellation& cancellation);
  // That its threads have met at, since their number was last changed.
  int64_t barriers() const { return team_ ? team_->barriers() : 0; }

 private:
  bool describe_model(DecodeWork& work, bool wants_logits) const;
  void describe_rows(DecodeWork& work, const StepBatch& batch) const;
  SpinTeam& team_for(const DecodeWork& work);

  const LanguageModel& model_;
  const KvPool& pool_;
  std::unique_ptr<SpinTeam> team_;
  int64_t members_ = 0;  // that were asked for
  PrefetchChoice prefetch_;
};

}  // namespace facellm
