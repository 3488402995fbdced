// Numbers by which the block cache compares prompts: a token's id, or the picture and the place in it. Torch-free.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "scheduling/block_cache.h"

namespace facellm {

class TokenIdentities {
 public:
  // Of the token at `place` of a picture with this identity. Negative, and never given to another picture.
  TokenIdentity of(const std::string& picture, int64_t place) {
    constexpr int64_t kPlaces = int64_t{1} << 24;    // image tokens a picture, far above 12 tiles
    constexpr size_t kMostNumbers = 100'000;         // bounds what a long-lived server remembers
    if (numbers_.size() > kMostNumbers) numbers_.clear();
    const auto [entry, is_new] = numbers_.try_emplace(picture, next_);
    next_ += is_new;
    return -1 - entry->second * kPlaces - place;
  }
  void clear() { numbers_.clear(); }

 private:
  std::unordered_map<std::string, int64_t> numbers_;
  int64_t next_ = 0;
};

}  // namespace facellm
