#include "scheduling/block_cache.h"

#include <algorithm>

namespace facellm {
namespace {

int64_t common_length(std::span<const TokenIdentity> a, std::span<const TokenIdentity> b) {
  const auto shorter = std::min(a.size(), b.size());
  return std::mismatch(a.begin(), a.begin() + static_cast<int64_t>(shorter), b.begin()).first - a.begin();
}

}  // namespace

BlockCache::BlockCache(int64_t blocks, int64_t block_size, int64_t most_idle)
    : block_size_(block_size), most_idle_(most_idle), blocks_(static_cast<size_t>(blocks)) {
  for (int64_t i = 0; i < blocks; ++i) free_.insert(free_.end(), static_cast<BlockId>(i));
}

BlockId BlockCache::allocate(BlockId wanted) {
  if (free_.empty() && !evictable_.empty()) evict(evictable_.begin()->second);
  if (free_.empty()) return kNoBlock;
  const auto found = wanted == kNoBlock ? free_.end() : free_.find(wanted);
  const auto taken = found == free_.end() ? free_.begin() : found;
  const BlockId block = *taken;
  free_.erase(taken);
  blocks_[block].readers = 1;
  return block;
}

BlockId BlockCache::find_stretch(int64_t count) const {
  int64_t begin = kNoBlock, previous = kNoBlock, length = 0, best_begin = kNoBlock, best_length = 0;
  for (const BlockId block : free_) {
    const bool continues = length > 0 && block == previous + 1;
    begin = continues ? begin : block;
    length = continues ? length + 1 : 1;
    previous = block;
    if (length > best_length) {
      best_length = length;
      best_begin = begin;
    }
  }
  if (best_length < count) return kNoBlock;
  return static_cast<BlockId>(best_begin + (best_length - count) / 2);
}

void BlockCache::retain(BlockId id) {
  auto& block = blocks_[id];
  if (block.readers++ > 0) return;
  evictable_.erase({block.last_used, id});
  --idle_;
}

void BlockCache::release(BlockId id) {
  auto& block = blocks_[id];
  if (--block.readers > 0) return;
  if (!block.is_published) {
    free_.insert(id);
    return;
  }
  become_idle(id);
}

void BlockCache::become_idle(BlockId id) {
  auto& block = blocks_[id];
  block.last_used = ++clock_;
  ++idle_;
  if (block.children.empty()) evictable_.insert({block.last_used, id});
  if (block.children.empty() && is_covered(id)) evict(id);
  while (idle_ > most_idle_ && !evictable_.empty()) evict(evictable_.begin()->second);
}

const std::vector<BlockId>* BlockCache::children_of(uint64_t root, BlockId parent) const {
  if (parent != kNoBlock) return &blocks_[parent].children;
  const auto found = roots_.find(root);
  return found == roots_.end() ? nullptr : &found->second;
}

BlockCache::Match BlockCache::match(uint64_t root, std::span<const TokenIdentity> tokens) const {
  Match match;
  BlockId parent = kNoBlock;
  for (;;) {
    const auto rest = tokens.subspan(static_cast<size_t>(match.tokens));
    const auto* children = children_of(root, parent);
    BlockId best = kNoBlock;
    int64_t best_length = 0;
    if (children != nullptr) {
      for (const BlockId child : *children) {
        const int64_t length = common_length(blocks_[child].tokens, rest);
        if (length > best_length) {
          best = child;
          best_length = length;
        }
      }
    }
    match.tokens += best_length;
    if (best_length == block_size_) {
      match.full.push_back(best);
      parent = best;
      continue;
    }
    match.partial = best;
    match.partial_tokens = best_length;
    return match;
  }
}

BlockId BlockCache::equal_sibling(BlockId block, uint64_t root, BlockId parent,
                                  std::span<const TokenIdentity> tokens) const {
  const auto* children = children_of(root, parent);
  if (children == nullptr) return kNoBlock;
  for (const BlockId child : *children) {
    if (child != block && std::ranges::equal(blocks_[child].tokens, tokens)) return child;
  }
  return kNoBlock;
}

// Another block continues the same path with the same tokens and more.
bool BlockCache::is_covered(BlockId id) const {
  const auto& block = blocks_[id];
  const auto size = static_cast<int64_t>(block.tokens.size());
  const auto* siblings = children_of(block.root, block.parent);
  return std::ranges::any_of(*siblings, [&](BlockId other) {
    return other != id && common_length(blocks_[other].tokens, block.tokens) == size;
  });
}

BlockId BlockCache::publish(BlockId id, uint64_t root, BlockId parent, std::span<const TokenIdentity> tokens) {
  auto& block = blocks_[id];
  if (static_cast<int64_t>(tokens.size()) == block_size_) {
    // A full block gets children: of equal ones only the first may, or a path would fork without need.
    const BlockId equal = equal_sibling(id, root, parent, tokens);
    if (equal != kNoBlock) {
      if (block.is_published) leave_tree(id);
      return equal;
    }
  }
  block.tokens.assign(tokens.begin(), tokens.end());
  if (block.is_published) return id;
  block.is_published = true;
  block.root = root;
  block.parent = parent;
  if (parent == kNoBlock) {
    roots_[root].push_back(id);
    return id;
  }
  auto& above = blocks_[parent];
  if (is_evictable(above)) evictable_.erase({above.last_used, parent});
  above.children.push_back(id);
  return id;
}

void BlockCache::leave_tree(BlockId id) {
  auto& block = blocks_[id];
  block.is_published = false;
  block.tokens.clear();
  if (block.parent == kNoBlock) {
    auto& first = roots_[block.root];
    std::erase(first, id);
    if (first.empty()) roots_.erase(block.root);
    return;
  }
  auto& above = blocks_[block.parent];
  std::erase(above.children, id);
  if (is_evictable(above)) evictable_.insert({above.last_used, block.parent});
}

void BlockCache::evict(BlockId id) {
  evictable_.erase({blocks_[id].last_used, id});
  --idle_;
  leave_tree(id);
  free_.insert(id);
}

void BlockCache::forget(uint64_t root) {
  for (;;) {
    std::vector<BlockId> leaves;  // when they have gone their parents may be leaves
    for (const auto& [used, block] : evictable_) {
      if (blocks_[block].root == root) leaves.push_back(block);
    }
    if (leaves.empty()) return;
    for (const BlockId block : leaves) evict(block);
  }
}

void BlockCache::clear() {
  while (!evictable_.empty()) evict(evictable_.begin()->second);
}

}  // namespace facellm
