// Pinned memory, and the copies from and to it that the host has not waited for.
#include <cstdlib>
#include <cstring>
#include <list>
#include <map>
#include <mutex>
#include <vector>

#include "device_state.h"
#include "record.h"

namespace pretend_cuda {
namespace {

struct Pending {
  int64_t serial;
  char* memory;  // the host's, pinned
  std::vector<char> bytes;
  bool is_upload;
};

struct Copies {
  std::mutex mutex;
  std::map<char*, size_t> pinned;
  std::list<Pending> pending;
  int64_t serial = 0;
};
Copies& copies() {
  static Copies& only = *new Copies;
  return only;
}

void finish(const Pending& copy) {
  if (!copy.is_upload) {
    std::memcpy(copy.memory, copy.bytes.data(), copy.bytes.size());
  } else if (std::memcmp(copy.memory, copy.bytes.data(), copy.bytes.size()) != 0) {
    complain("pinned memory was changed while it was being sent: " + std::to_string(copy.bytes.size()) +
             " bytes, before the host has waited for the copy");
  }
}

bool overlaps(const Pending& copy, const char* begin, size_t bytes) {
  return copy.memory < begin + bytes && begin < copy.memory + copy.bytes.size();
}

void release_pinned(void* p) {
  auto* const begin = static_cast<char*>(p);
  {
    const std::lock_guard lock(copies().mutex);
    const auto found = copies().pinned.find(begin);
    // CUDA's allocator does not use it again before its copies are done.
    std::erase_if(copies().pending, [&](const Pending& copy) {
      if (!overlaps(copy, begin, found->second)) return false;
      if (copy.is_upload) finish(copy);
      return true;
    });
    copies().pinned.erase(found);
  }
  std::free(p);
}

struct PinnedAllocator final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    if (bytes == 0) return {nullptr, nullptr, &release_pinned, c10::Device(c10::kCPU)};
    void* const p = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
    const std::lock_guard lock(copies().mutex);
    copies().pinned[static_cast<char*>(p)] = bytes;
    return {p, p, &release_pinned, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release_pinned; }
  void copy_data(void* to, const void* from, size_t bytes) const override { std::memcpy(to, from, bytes); }
};

}  // namespace

c10::Allocator* pinned_allocator() {
  static PinnedAllocator& only = *new PinnedAllocator;
  return &only;
}

bool is_pinned(const void* p) {
  const std::lock_guard lock(copies().mutex);
  const auto* const q = static_cast<const char*>(p);
  const auto next = copies().pinned.upper_bound(const_cast<char*>(q));
  return next != copies().pinned.begin() && q < std::prev(next)->first + std::prev(next)->second;
}

void begin_upload(const void* source, size_t bytes) {
  auto* const begin = static_cast<char*>(const_cast<void*>(source));
  const std::lock_guard lock(copies().mutex);
  copies().pending.push_back({++copies().serial, begin, std::vector<char>(begin, begin + bytes), true});
}

void begin_download(void* target, const void* source, size_t bytes) {
  const auto* const begin = static_cast<const char*>(source);
  const std::lock_guard lock(copies().mutex);
  copies().pending.push_back({++copies().serial, static_cast<char*>(target), std::vector<char>(begin, begin + bytes), false});
  std::memset(target, 0xff, bytes);
}

void finish_download_of(const void* source, size_t bytes) {
  const std::lock_guard lock(copies().mutex);
  std::erase_if(copies().pending, [&](const Pending& copy) {
    if (copy.is_upload || !overlaps(copy, static_cast<const char*>(source), bytes)) return false;
    finish(copy);
    return true;
  });
}

int64_t last_copy() {
  const std::lock_guard lock(copies().mutex);
  return copies().serial;
}

void finish_copies(int64_t last, const char* reason) {
  note_wait(reason);
  const std::lock_guard lock(copies().mutex);
  std::erase_if(copies().pending, [&](const Pending& copy) {
    if (copy.serial > last) return false;
    finish(copy);
    return true;
  });
}

}  // namespace pretend_cuda
