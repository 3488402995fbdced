// The launch that runs, its block and its threads, for the files of the emulation. There is one at a time in a process.
#pragma once

#include <array>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "cuda_on_cpu.h"
#include "device.h"
#include "fiber.h"
#include "warp_order.h"

namespace cuda_on_cpu {

inline bool is_same(const Site& a, const Site& b) {
  // A unit mostly has one copy of a name.
  return a.line() == b.line() && (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}

struct Copy {
  void* shared;
  const void* global;
  int bytes, valid;
};

struct Thread {
  enum class State { kReady, kAtBarrier, kInWarp, kDone };
  Fiber fiber;
  int number = 0;  // within the block
  uint3 index{};
  State state = State::kReady;
  Site site{};        // where it waits
  unsigned mask = 0;  // for which lanes, in a warp function
  std::vector<Copy> begun;
  std::vector<std::vector<Copy>> groups;

  int lane() const { return number % 32; }
  int warp() const { return number / 32; }
};

// Lanes that come together under one mask. What they hand in is kept until they meet a second time: by then all have read.
struct Gathering {
  unsigned mask = 0, arrived = 0;
  int turn = 0;
  Site site{};
  std::array<std::array<unsigned char, 32 * kMostLaneBytes>, 2> slots;
};

struct Warp {
  WarpOrder order;
  unsigned lanes = 0, left = 0;
  std::vector<std::unique_ptr<Gathering>> gatherings;
};

// A report in the making: texts are put together when the fibers are left.
struct Finding {
  Fault fault;
  std::string what{};  // what the thread does
  int64_t thread = -1;
  uint32_t code = 0;  // where, by an address ...
  Site site{};        // ... or by a site, where `code` is 0
  std::string how{};  // what the other one did; "": nobody
  int64_t other_block = -1, other_thread = -1;
  uint32_t other_code = 0;
  Site other_site{};
};

struct Running {
  const Launch* launch = nullptr;
  uint32_t launch_serial = 0, block_serial = 0;  // numbers of their own over all launches, from 1 on
  uint32_t first_block_serial = 0;
  std::vector<int64_t> blocks;  // of the grid, in the order in which they run
  int64_t block = 0;
  uint3 block_index{};
  uint32_t barriers = 0;  // that the block has passed
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  std::optional<Finding> finding;
  size_t static_shared_used = 0;
};
extern Running running;
// Held by a launch, and by who changes regions.
std::recursive_mutex& launching();

// The thread of a kernel whose code runs, on that one of the host's threads which launches; the others only look here. Not
// thread-local: each load and store of a kernel asks, and in a library that is loaded late that is a seventh of all time.
struct Current {
  Thread* thread = nullptr;
  void* host = nullptr;  // what __builtin_thread_pointer() tells there
};
extern constinit Current current;

// Null: the host's own code runs.
inline Thread* current_thread() {
  return __atomic_load_n(&current.host, __ATOMIC_RELAXED) == __builtin_thread_pointer() ? current.thread : nullptr;
}

// While it lives, loads and stores are the emulation's. Everything that a kernel calls here begins with it.
class Outside {
 public:
  Outside() : thread_(current.thread) { current.thread = nullptr; }
  ~Outside() { current.thread = thread_; }
  Outside(const Outside&) = delete;
  Outside& operator=(const Outside&) = delete;
  Thread& thread() { return *thread_; }

 private:
  Thread* thread_;
};

// Back to the scheduler, until it resumes this thread.
void suspend(Thread& thread);
// The end of this launch.
[[noreturn]] void stop(Thread& thread, Finding finding);

Report describe(const Finding& finding);

// access.cpp: what lies outside of all regions and is touched nevertheless, as long as a launch runs.
class FaultHandler {
 public:
  FaultHandler();
  ~FaultHandler();
};

}  // namespace cuda_on_cpu
