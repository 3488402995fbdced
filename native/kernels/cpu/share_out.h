// Sharing work out between threads that are not equally fast.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace facellm {

// Runs work(begin, end) over [0, count): three quarters in equal shares, the rest by whoever is free, since virtual
// processors are never equally fast.
template <typename Work>
void share_out(int64_t count, int64_t threads, const Work& work) {
  if (threads <= 1 || count <= 1) return work(int64_t{0}, count);
  const int64_t fixed = count * 3 / 4, piece = std::max<int64_t>(1, (count - fixed) / 32);
  std::atomic<int64_t> next{fixed};
  at::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t share = begin; share < end; ++share) {
      work(fixed * share / threads, fixed * (share + 1) / threads);
    }
    for (int64_t i = next.fetch_add(piece); i < count; i = next.fetch_add(piece)) work(i, std::min(i + piece, count));
  });
}

// Runs work(begin, end, first_strip, end_strip) over [0, blocks) and all strips. Of many rows a block is a millisecond, for which the
// others would wait at the end: there it goes strip by strip.
template <typename Work>
void share_out_strips(int64_t blocks, int64_t strips, int64_t threads, const Work& work) {
  share_out(blocks * strips, threads, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end;) {
      const int64_t block = i / strips, strip = i % strips;
      const int64_t whole = strip == 0 ? (end - i) / strips : 0;  // blocks
      const int64_t last = whole > 0 ? strips : std::min(strips, strip + end - i);
      work(block, block + std::max<int64_t>(whole, 1), strip, last);
      i += std::max<int64_t>(whole, 1) * (last - strip);
    }
  });
}

}  // namespace facellm
