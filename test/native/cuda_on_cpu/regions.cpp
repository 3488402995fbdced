#include "regions.h"

#include <array>
#include <map>
#include <mutex>
#include <utility>

#include "state.h"
#include "symbols.h"

namespace cuda_on_cpu {
namespace {

constexpr size_t kCellsOfAChunk = 256;

std::map<uintptr_t, Region> regions;  // by begin, of global memory
std::vector<Region> shared;           // of the launch that runs

bool holds(const Region& region, uintptr_t p) { return p >= region.begin && p < region.end; }

// Neighbouring accesses are mostly in few regions.
std::array<Region*, 16> lately{};

}  // namespace

Region* find_region(uintptr_t p) {
  Region*& cached = lately[p >> 12 & 15];
  if (cached != nullptr && holds(*cached, p)) return cached;
  for (auto& region : shared) {
    if (holds(region, p)) return cached = &region;
  }
  const auto next = regions.upper_bound(p);
  if (next == regions.begin()) return nullptr;
  Region& region = std::prev(next)->second;
  return holds(region, p) ? cached = &region : nullptr;
}

// Where an address lies that no region holds.
std::string surroundings(uintptr_t p) {
  constexpr uintptr_t kNear = 1 << 20;
  const Region *before = nullptr, *behind = nullptr;
  const auto consider = [&](const Region& region) {
    if (region.end <= p && (before == nullptr || region.end > before->end)) before = &region;
    if (region.begin > p && (behind == nullptr || region.begin < behind->begin)) behind = &region;
  };
  for (const auto& region : shared) consider(region);
  const auto next = regions.upper_bound(p);
  if (next != regions.end()) consider(next->second);
  if (next != regions.begin()) consider(std::prev(next)->second);
  for (const auto& thread : running.threads) {
    if (thread.fiber.owns(p)) return "local memory of thread " + std::to_string(thread.number);
  }
  if (before != nullptr && p - before->end < kNear) {
    return std::to_string(p - before->end) + " bytes behind the end of " + before->name;
  }
  if (behind != nullptr && behind->begin - p < kNear) {
    return std::to_string(behind->begin - p) + " bytes before " + behind->name;
  }
  return "memory that is not the device's";
}

Cell& Region::cell(size_t index) {
  if (chunks.empty()) chunks.resize((end - begin + unit - 1) / unit / kCellsOfAChunk + 1);
  auto& chunk = chunks[index / kCellsOfAChunk];
  if (!chunk) chunk = std::make_unique<Cell[]>(kCellsOfAChunk);
  return chunk[index % kCellsOfAChunk];
}

void Region::refine(size_t smaller) {
  const size_t parts = unit / smaller;
  const auto old = std::exchange(chunks, {});
  unit = smaller;
  for (size_t c = 0; c < old.size(); ++c) {
    if (!old[c]) continue;
    for (size_t i = 0; i < kCellsOfAChunk * parts; ++i) {
      const size_t index = c * kCellsOfAChunk * parts + i;
      if (index * unit < end - begin) cell(index) = old[c][i / parts];
    }
  }
}

void enter_shared(const void* dynamic, size_t bytes) {
  shared.clear();
  lately.fill(nullptr);
  const auto p = reinterpret_cast<uintptr_t>(dynamic);
  if (bytes > 0) shared.push_back({.begin = p, .end = p + bytes, .name = "dynamic shared memory", .space = Space::kDynamicShared});
  for (auto& one : static_shared()) {
    shared.push_back({.begin = one.begin, .end = one.begin + one.bytes, .name = "shared memory " + one.name,
                      .space = Space::kStaticShared});
  }
}

void leave_shared() {
  shared.clear();
  lately.fill(nullptr);
}

void add_region(const void* begin, size_t bytes, std::string name) {
  const std::lock_guard lock(launching());
  const auto p = reinterpret_cast<uintptr_t>(begin);
  if (bytes > 0) regions.insert_or_assign(p, Region{.begin = p, .end = p + bytes, .name = std::move(name)});
}

void remove_region(const void* begin) {
  const std::lock_guard lock(launching());
  regions.erase(reinterpret_cast<uintptr_t>(begin));
}

}  // namespace cuda_on_cpu
