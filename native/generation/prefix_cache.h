// Keys and values of prompts already computed, so that questions that share a prefix (image, system
// turn, conversation so far) compute only what differs. A token is identified by its id, an image
// token by its picture and its place in it. What one stack of adapters computed is never used under
// another. Least recently used out first.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <list>
#include <vector>

#include "layers/kv_cache.h"
#include "lora/adapter_source.h"

namespace facellm {

// One number a token: the id (>= 0) for text, a negative number unique to (picture, place) else.
using TokenIdentities = std::vector<int64_t>;

class PrefixCache {
 public:
  explicit PrefixCache(int64_t capacity_bytes) : capacity_bytes_(capacity_bytes) {}

  // Restores the longest cached prefix of `tokens` into the empty one-row `cache` and returns its
  // length; always leaves at least one token to compute, since its logits are wanted.
  int64_t restore(const TokenIdentities& tokens, const AdapterIds& adapters, KvCache& cache);
  // Remembers the first tokens.size() slots of the one-row `cache`, unless most of them came from
  // here (`restored`).
  void store(const TokenIdentities& tokens, const AdapterIds& adapters, const KvCache& cache,
             int64_t restored);
  void clear();

 private:
  struct Entry {
    TokenIdentities tokens;
    AdapterIds adapters;
    at::Tensor snapshot;  // [layers, 2, K, T, E]
  };
  int64_t capacity_bytes_;
  int64_t bytes_ = 0;
  std::list<Entry> entries_;  // most recent first
};

}  // namespace facellm
