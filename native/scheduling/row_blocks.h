// The blocks of one row: what it found in the cache, what it added, and how far others may share it.
#pragma once

#include <optional>

#include "scheduling/block_cache.h"

namespace facellm {

// Slots to be copied before the row is computed on: of a block that others still read or write.
struct BlockCopy {
  BlockId from;
  BlockId to;
  int64_t tokens;
};

class RowBlocks {
 public:
  RowBlocks(BlockCache& cache, uint64_t root) : cache_(&cache), root_(root) {}
  ~RowBlocks() { release(); }
  RowBlocks(RowBlocks&& other) noexcept;
  RowBlocks& operator=(RowBlocks&&) = delete;

  // Takes the longest cached prefix of `tokens` but the last one, which is always computed, into an empty row.
  // Returns its length. `copy`: what the caller must copy first. Blocks of `tokens` that are missing are
  // not allocated here.
  int64_t restore(std::span<const TokenIdentity> tokens, std::optional<BlockCopy>& copy);
  // Makes room for so many tokens in all, in place where that is possible. False if blocks ran out: those
  // taken stay. `most`: tokens that the row may grow to, which a fresh row looks for a stretch for.
  bool grow(int64_t tokens, int64_t most);
  // Gives back what lies behind so many tokens.
  void shrink(int64_t tokens);
  // The first `computed` of `tokens` can be shared.
  void publish(std::span<const TokenIdentity> tokens, int64_t computed);
  void release();

  const std::vector<BlockId>& blocks() const { return blocks_; }
  // Blocks that become available when the row lets go.
  int64_t exclusive() const;

 private:
  BlockCache* cache_;
  uint64_t root_;
  std::vector<BlockId> blocks_;
  std::vector<BlockId> held_;  // equal blocks of others that stand in the tree for this row's own
  BlockId path_ = kNoBlock;    // the tree's block that the next one continues
  int64_t shared_ = 0;         // full blocks on the path
};

}  // namespace facellm
