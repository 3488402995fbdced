// What a row holds so far, as penalties and limits ask for it: kept up to date token by token. Torch-free.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>

#include "generation/sampling_options.h"

namespace facellm {

class TokenHistory {
 public:
  // Ids are counted where `options` have a penalty, else their number alone.
  TokenHistory(const SamplingOptions& options, std::span<const int32_t> prompt)
      : counts_ids_(options.repetition_penalty != 1 || options.frequency_penalty != 0 ||
                    options.presence_penalty != 0) {
    if (!counts_ids_) return;
    for (const int32_t id : prompt) counts_.try_emplace(id, 0);
  }

  void add(int32_t generated_id) {
    ++generated_;
    if (counts_ids_) ++counts_[generated_id];
  }

  int64_t generated() const { return generated_; }
  // How often each id was generated; 0: it stands in the prompt alone.
  const std::unordered_map<int32_t, int32_t>& counts() const { return counts_; }

 private:
  bool counts_ids_;
  int64_t generated_ = 0;
  std::unordered_map<int32_t, int32_t> counts_;
};

}  // namespace facellm
