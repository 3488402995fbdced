#include "core/kept_memory.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>
#include <unordered_map>
#include <vector>

namespace facellm {
namespace {

struct Block {
  void* begin;
  int64_t bytes;
};

// A block serves what is up to an eighth smaller: batches of nearly the same length follow one another.
bool serves(const Block& block, int64_t bytes) { return block.bytes >= bytes && block.bytes - bytes <= block.bytes / 8; }

// On pages of their own, by which most other memory is told from them without a look.
constexpr int64_t kPage = 4096;

// Null: there is no more.
void* fresh(int64_t bytes) {
  const bool is_sane = bytes <= INT64_MAX - kPage;
  return is_sane ? std::aligned_alloc(kPage, static_cast<size_t>((bytes + kPage - 1) / kPage * kPage)) : nullptr;
}

class Blocks {
 public:
  void* take(int64_t bytes) {
    const std::lock_guard lock(mutex_);
    kept_.reserve(kept_.size() + used_.size() + 1);  // give() may not throw: it runs in destructors
    // The newest, which the caches may still hold.
    const auto found = std::find_if(kept_.rbegin(), kept_.rend(), [&](const Block& block) { return serves(block, bytes); });
    Block block{nullptr, bytes};
    if (found != kept_.rend()) {
      block = *found;
      kept_.erase(std::next(found).base());
      kept_bytes_ -= block.bytes;
    } else {
      // Before there is more: together they stay within what was in use at once.
      keep_at_most(most_kept(used_bytes_ + bytes));
      block.begin = fresh(bytes);
      if (block.begin == nullptr) {
        keep_at_most(0);
        block.begin = fresh(bytes);
      }
      // As libtorch says it: core/translate_exception.cpp tells it by these words.
      TORCH_CHECK(block.begin != nullptr, "kept memory: can't allocate memory: you tried to allocate ", bytes, " bytes");
    }
    try {
      used_.emplace(block.begin, block.bytes);
    } catch (...) {
      std::free(block.begin);
      throw;
    }
    used_bytes_ += block.bytes;
    most_used_ = std::max(most_used_, used_bytes_);
    return block.begin;
  }

  // False: it is none of these.
  bool give(void* begin) {
    if (reinterpret_cast<uintptr_t>(begin) % kPage != 0) return false;
    const std::lock_guard lock(mutex_);
    const auto used = used_.find(begin);
    if (used == used_.end()) return false;
    const Block block{begin, used->second};
    used_.erase(used);
    used_bytes_ -= block.bytes;
    kept_.push_back(block);
    kept_bytes_ += block.bytes;
    keep_at_most(most_kept(used_bytes_));
    return true;
  }

  void begin(int64_t most_bytes) {
    const std::lock_guard lock(mutex_);
    if (limits_.empty()) most_used_ = used_bytes_;
    limits_.insert(most_bytes);
  }

  void end(int64_t most_bytes) {
    const std::lock_guard lock(mutex_);
    limits_.erase(limits_.find(most_bytes));
    forget();
  }

  void release() {
    const std::lock_guard lock(mutex_);
    forget();
  }

  KeptMemoryStats stats() {
    const std::lock_guard lock(mutex_);
    return {used_bytes_, kept_bytes_};
  }

 private:
  int64_t most_kept(int64_t used_bytes) const {
    return limits_.empty() ? 0 : std::min(*limits_.rbegin(), std::max<int64_t>(0, most_used_ - used_bytes));
  }

  // Whoever goes on learns in a step what it needs.
  void forget() {
    most_used_ = used_bytes_;
    keep_at_most(0);
  }

  void keep_at_most(int64_t bytes) {
    size_t oldest = 0;
    for (; kept_bytes_ > bytes; ++oldest) {
      std::free(kept_[oldest].begin);
      kept_bytes_ -= kept_[oldest].bytes;
    }
    kept_.erase(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(oldest));
  }

  std::mutex mutex_;
  std::unordered_map<void*, int64_t> used_;
  std::vector<Block> kept_;  // in the order in which they were freed
  std::multiset<int64_t> limits_;
  int64_t used_bytes_ = 0, kept_bytes_ = 0, most_used_ = 0;
};

// Never destroyed: tensors may be freed after everything else.
Blocks& blocks() {
  static auto* const all = new Blocks;
  return *all;
}

class KeepingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    const bool is_large = bytes >= static_cast<size_t>(KeptMemory::kLargeBlock);
    void* const begin = is_large ? blocks().take(static_cast<int64_t>(bytes)) : c10::alloc_cpu(bytes);
    c10::DataPtr data{begin, begin, &free_any, c10::Device(c10::kCPU)};
    c10::profiledCPUMemoryReporter().New(begin, bytes);  // whoever watches allocations, as the plain one tells them
    return data;
  }
  // oneDNN's products free by this what they take.
  c10::DeleterFnPtr raw_deleter() const override { return &free_any; }
  void copy_data(void* to, const void* from, size_t bytes) const override { std::memcpy(to, from, bytes); }

 private:
  static void free_any(void* begin) {
    if (begin != nullptr) c10::profiledCPUMemoryReporter().Delete(begin);
    if (!blocks().give(begin)) c10::free_cpu(begin);
  }
};

void install() {
  static const bool is_installed = [] {
    c10::SetCPUAllocator(new KeepingAllocator);
    return true;
  }();
  static_cast<void>(is_installed);
}

}  // namespace

KeptMemory::KeptMemory(int64_t most_bytes) : most_bytes_(most_bytes) {
  install();
  blocks().begin(most_bytes_);
}

KeptMemory::~KeptMemory() { blocks().end(most_bytes_); }

void KeptMemory::release() { blocks().release(); }

KeptMemoryStats kept_memory_stats() { return blocks().stats(); }

}  // namespace facellm
