// A stack of its own on which a function runs until it suspends itself. One thread of the host resumes fibers at a time.
#pragma once

#include <cstddef>
#include <cstdint>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace cuda_on_cpu {

class Fiber {
 public:
  Fiber() = default;
  Fiber(Fiber&& other) noexcept;
  ~Fiber();

  // The next resume() calls `entry`, which must not return. What ran before is forgotten, without its destructors.
  void start(void (*entry)());
  void resume();   // by the scheduler: returns when the fiber suspends itself
  void suspend();  // by the fiber
  bool owns(uintptr_t address) const { return address - reinterpret_cast<uintptr_t>(memory_) < kGuard + kBytes; }
  uintptr_t top() const { return reinterpret_cast<uintptr_t>(memory_) + kGuard + kBytes - colour_; }

 private:
  static constexpr size_t kBytes = 128 * 1024, kGuard = 4096;
  char* memory_ = nullptr;  // a guard page, then the stack
  size_t colour_ = 0;       // how far below its end it begins
#if defined(__x86_64__)
  void* stack_pointer_ = nullptr;
#else
  ucontext_t context_{};
#endif
};

}  // namespace cuda_on_cpu
