// Which blocks of the key/value pool hold what, who reads them, and which may be taken. A block is a fixed number
// of token slots. Blocks that hold computed tokens form a tree: a child continues its parent, so that every
// path from a root is a prefix that a new row can share (after SGLang's radix cache, arXiv 2312.07104, with the
// whole content compared instead of a hash). The last block of a path may be filled in part and still grow; whoever
// shares that one copies it. Nobody's blocks are in the tree of another root: a root is a stack of adapters
// and whose prefixes may be seen. Torch-free; used by one thread.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <vector>

namespace facellm {

using BlockId = int32_t;
constexpr BlockId kNoBlock = -1;

// One number a token: the id (>= 0) for text, a negative number unique to (picture, place) else.
using TokenIdentity = int64_t;

class BlockCache {
 public:
  // most_idle: blocks kept although no row reads them, for rows to come.
  BlockCache(int64_t blocks, int64_t block_size, int64_t most_idle);

  int64_t block_size() const { return block_size_; }
  int64_t total() const { return static_cast<int64_t>(blocks_.size()); }
  // What can be had: free blocks, and idle ones of the tree.
  int64_t available() const { return static_cast<int64_t>(free_.size()) + idle_; }
  int64_t in_use() const { return total() - available(); }
  int64_t idle() const { return idle_; }
  int64_t blocks_for(int64_t tokens) const { return (tokens + block_size_ - 1) / block_size_; }

  // A block with one reader, outside the tree; the idle one used longest ago where none is free. `wanted`: taken
  // if it is free. kNoBlock if nothing is available.
  BlockId allocate(BlockId wanted);
  // First of so many free blocks in a row, in the middle of the longest stretch, so that rows can
  // grow in place; kNoBlock if there is no such stretch.
  BlockId find_stretch(int64_t count) const;
  void retain(BlockId block);
  // The last reader's block becomes idle if it is in the tree, else free.
  void release(BlockId block);
  int64_t readers(BlockId block) const { return blocks_[block].readers; }

  struct Match {
    std::vector<BlockId> full;
    BlockId partial = kNoBlock;  // holds more tokens of the prefix, to be copied
    int64_t partial_tokens = 0;
    int64_t tokens = 0;  // of all
  };
  // The longest prefix of `tokens` under `root`.
  Match match(uint64_t root, std::span<const TokenIdentity> tokens) const;
  // `block`, read by the caller, holds `tokens` (one to block_size) behind the prefix that ends with `parent`
  // (kNoBlock: none); a block published before holds more now. Returns the block that continues the path:
  // an equal one that was there first keeps its place, and the caller's stays its own.
  BlockId publish(BlockId block, uint64_t root, BlockId parent, std::span<const TokenIdentity> tokens);
  // Forgets every idle block, or those under one root.
  void clear();
  void forget(uint64_t root);

 private:
  struct Block {
    int64_t readers = 0;
    bool is_published = false;
    uint64_t root = 0;
    BlockId parent = kNoBlock;
    std::vector<TokenIdentity> tokens;
    std::vector<BlockId> children;
    uint64_t last_used = 0;
  };
  const std::vector<BlockId>* children_of(uint64_t root, BlockId parent) const;
  BlockId equal_sibling(BlockId block, uint64_t root, BlockId parent, std::span<const TokenIdentity> tokens) const;
  bool is_covered(BlockId block) const;
  void become_idle(BlockId block);
  void leave_tree(BlockId block);
  void evict(BlockId block);
  bool is_evictable(const Block& block) const {
    return block.is_published && block.readers == 0 && block.children.empty();
  }

  int64_t block_size_;
  int64_t most_idle_;
  int64_t idle_ = 0;  // published, without a reader
  uint64_t clock_ = 0;
  std::vector<Block> blocks_;
  std::set<BlockId> free_;
  std::set<std::pair<uint64_t, BlockId>> evictable_;  // idle leaves, the one used longest ago first
  std::map<uint64_t, std::vector<BlockId>> roots_;    // first blocks of each root's paths
};

}  // namespace facellm
