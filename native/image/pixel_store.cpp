#include "image/pixel_store.h"

#include <algorithm>
#include <mutex>

namespace facellm {
namespace {

// Smaller ones are what the allocator keeps by itself.
constexpr size_t kLeastBytes = size_t{1} << 20;
// Of what a picture needs: a small one does not take a large one's memory.
constexpr size_t kMostSpare = 4;

struct Idle {
  std::mutex mutex;
  std::vector<std::vector<uint8_t>> buffers;
  size_t bytes = 0;
};

// Never destroyed: pictures of threads that end late come back to it.
Idle& idle() {
  static Idle* const all = new Idle;
  return *all;
}

std::vector<uint8_t> take(size_t size) {
  auto& [mutex, buffers, bytes] = idle();
  const std::scoped_lock lock(mutex);
  auto best = buffers.end();
  for (auto one = buffers.begin(); one != buffers.end(); ++one) {
    if (one->capacity() < size || one->capacity() / kMostSpare > size) continue;
    if (best == buffers.end() || one->capacity() < best->capacity()) best = one;
  }
  if (best == buffers.end()) return {};
  auto taken = std::move(*best);
  buffers.erase(best);
  bytes -= taken.capacity();
  return taken;
}

void give_back(std::vector<uint8_t>&& buffer) {
  auto& [mutex, buffers, bytes] = idle();
  const std::scoped_lock lock(mutex);
  if (buffer.capacity() < kLeastBytes || bytes + buffer.capacity() > kMostIdlePixelBytes) return;
  bytes += buffer.capacity();
  buffers.push_back(std::move(buffer));
}

struct Kept {
  std::vector<uint8_t> pixels;
  ~Kept() {
    try {
      give_back(std::move(pixels));
    } catch (...) {
      // No memory to keep memory: it is freed.
    }
  }
};

}  // namespace

std::shared_ptr<const std::vector<uint8_t>> copy_pixels(std::span<const uint8_t> rgb) {
  const auto kept = std::make_shared<Kept>();
  if (rgb.size() >= kLeastBytes) kept->pixels = take(rgb.size());
  kept->pixels.assign(rgb.begin(), rgb.end());
  return {kept, &kept->pixels};
}

size_t idle_pixel_bytes() {
  auto& all = idle();
  const std::scoped_lock lock(all.mutex);
  return all.bytes;
}

}  // namespace facellm
