#include "generation/prefix_cache.h"

#include <algorithm>

namespace facellm {
namespace {

// Shorter matches cost more to restore than to compute.
constexpr int64_t kShortestUseful = 8;

int64_t common_prefix(const TokenIdentities& a, const TokenIdentities& b) {
  const size_t shorter = std::min(a.size(), b.size());
  const auto end = a.begin() + static_cast<int64_t>(shorter);
  return std::mismatch(a.begin(), end, b.begin()).first - a.begin();
}

}  // namespace

int64_t PrefixCache::restore(const TokenIdentities& tokens, const AdapterIds& adapters,
                             KvCache& cache) {
  auto best = entries_.end();
  int64_t best_length = 0;
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (entry->adapters != adapters) continue;
    const int64_t length = std::min(common_prefix(entry->tokens, tokens),
                                    static_cast<int64_t>(tokens.size()) - 1);
    if (length > best_length) {
      best = entry;
      best_length = length;
    }
  }
  if (best_length < kShortestUseful) return 0;
  cache.restore(best->snapshot, best_length);
  entries_.splice(entries_.begin(), entries_, best);
  return best_length;
}

void PrefixCache::store(const TokenIdentities& tokens, const AdapterIds& adapters,
                        const KvCache& cache, int64_t restored) {
  const auto length = static_cast<int64_t>(tokens.size());
  // A prompt that is mostly a known prefix adds little; keeping it would push out other pictures.
  if (4 * restored >= 3 * length || length < kShortestUseful || capacity_bytes_ <= 0) return;
  const int64_t size = cache.slot_bytes() * length;
  if (size > capacity_bytes_) return;
  while (bytes_ + size > capacity_bytes_) {
    bytes_ -= static_cast<int64_t>(entries_.back().snapshot.nbytes());
    entries_.pop_back();
  }
  entries_.push_front({tokens, adapters, cache.snapshot(length)});
  bytes_ += size;
}

void PrefixCache::clear() {
  entries_.clear();
  bytes_ = 0;
}

}  // namespace facellm
