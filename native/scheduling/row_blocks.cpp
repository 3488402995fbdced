#include "scheduling/row_blocks.h"

#include <algorithm>
#include <utility>

namespace facellm {

RowBlocks::RowBlocks(RowBlocks&& other) noexcept
    : cache_(other.cache_),
      root_(other.root_),
      blocks_(std::exchange(other.blocks_, {})),
      held_(std::exchange(other.held_, {})),
      path_(other.path_),
      shared_(other.shared_) {}

int64_t RowBlocks::restore(std::span<const TokenIdentity> tokens, std::optional<BlockCopy>& copy) {
  const auto match = cache_->match(root_, tokens.first(tokens.size() - 1));
  for (const BlockId block : match.full) {
    cache_->retain(block);
    blocks_.push_back(block);
    path_ = block;
  }
  shared_ = static_cast<int64_t>(match.full.size());
  const int64_t full_tokens = shared_ * cache_->block_size();
  if (match.partial == kNoBlock) return full_tokens;
  cache_->retain(match.partial);  // or the allocation might take it
  const BlockId own = cache_->allocate(blocks_.empty() ? kNoBlock : blocks_.back() + 1);
  cache_->release(match.partial);
  if (own == kNoBlock) return full_tokens;
  blocks_.push_back(own);
  copy = BlockCopy{match.partial, own, match.partial_tokens};
  return match.tokens;
}

bool RowBlocks::grow(int64_t tokens, int64_t most) {
  const auto needed = static_cast<size_t>(cache_->blocks_for(tokens));
  if (blocks_.empty() && needed > 0) {
    BlockId first = cache_->find_stretch(cache_->blocks_for(most));
    if (first == kNoBlock) first = cache_->find_stretch(static_cast<int64_t>(needed));
    const BlockId block = cache_->allocate(first);
    if (block == kNoBlock) return false;
    blocks_.push_back(block);
  }
  while (blocks_.size() < needed) {
    const BlockId block = cache_->allocate(blocks_.back() + 1);
    if (block == kNoBlock) return false;
    blocks_.push_back(block);
  }
  return true;
}

void RowBlocks::shrink(int64_t tokens) {
  const auto kept = static_cast<size_t>(std::max(cache_->blocks_for(tokens), shared_));
  while (blocks_.size() > kept) {
    cache_->release(blocks_.back());
    blocks_.pop_back();
  }
}

void RowBlocks::publish(std::span<const TokenIdentity> tokens, int64_t computed) {
  const int64_t size = cache_->block_size();
  for (;;) {
    const int64_t begin = shared_ * size;
    const int64_t count = std::min(size, computed - begin);
    if (count <= 0) return;
    const BlockId own = blocks_[static_cast<size_t>(shared_)];
    const BlockId next = cache_->publish(
        own, root_, path_, tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(count)));
    if (count < size) return;
    if (next != own) {
      cache_->retain(next);
      held_.push_back(next);
    }
    path_ = next;
    ++shared_;
  }
}

void RowBlocks::release() {
  // From the end: of a path the last block is the first to go.
  for (auto block = blocks_.rbegin(); block != blocks_.rend(); ++block) cache_->release(*block);
  for (auto block = held_.rbegin(); block != held_.rend(); ++block) cache_->release(*block);
  blocks_.clear();
  held_.clear();
  path_ = kNoBlock;
  shared_ = 0;
}

int64_t RowBlocks::exclusive() const {
  return std::ranges::count_if(blocks_, [&](BlockId block) { return cache_->readers(block) == 1; });
}

}  // namespace facellm
