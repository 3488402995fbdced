// Large blocks of the CPU's memory that one step frees are kept for the next: libtorch gives them back to the system, which clears
// every page before it hands it out again. (Of a LoRA step of the 1B a fifth was the kernel's.)
#pragma once

#include <cstdint>

namespace facellm {

// While one lives, what libtorch frees of blocks of kLargeBlock and more is kept: at most `most_bytes` of it (of several that live,
// the largest counts), and never so much that there would be more in use and kept together than was in use at once before: the
// peak stays what it was, but for blocks that are found again up to an eighth larger than asked for. When one ends, all is given
// back, and those that live begin anew. From any thread.
class KeptMemory {
 public:
  explicit KeptMemory(int64_t most_bytes);
  ~KeptMemory();
  KeptMemory(const KeptMemory&) = delete;
  KeptMemory& operator=(const KeptMemory&) = delete;

  static void release();  // what is kept, now

  static constexpr int64_t kLargeBlock = 1 << 20;
  static constexpr int64_t kNoLimit = INT64_MAX;

 private:
  int64_t most_bytes_;
};

struct KeptMemoryStats {
  int64_t used_bytes;  // of large blocks, since the first KeptMemory of the process
  int64_t kept_bytes;
};
KeptMemoryStats kept_memory_stats();

}  // namespace facellm
