// A launch: its limits, its blocks one after the other, and of each block the threads in turns until all have ended.
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <new>
#include <numeric>
#include <random>
#include <utility>

#include "cuda_runtime_api.h"
#include "memory.h"
#include "state.h"
#include "symbols.h"

namespace cuda_on_cpu {

Running running;
thread_local Thread* current __attribute__((tls_model("initial-exec"))) = nullptr;

std::recursive_mutex& launching() {
  static std::recursive_mutex mutex;
  return mutex;
}

Settings& settings() {
  static Settings settings;
  return settings;
}

uint3 thread_index() { return current->index; }
uint3 block_index() { return running.block_index; }
dim3 block_size() { return running.launch->block; }
dim3 grid_size() { return running.launch->grid; }
int lane() { return current->lane(); }
const void* translated(const void* pointer) {
  return settings().translate != nullptr && pointer != nullptr ? settings().translate(pointer) : pointer;
}

namespace {

constexpr size_t kMostThreads = 1024, kSharedBytes = 256 * 1024;
std::map<const void*, size_t> allowed_dynamic_shared;  // by kernel, where it asked for more
std::mt19937_64 generator;

// Dynamic shared memory ends where a page does that nobody may touch.
char* shared_end() {
  static char* const end = [] {
    void* const memory = mmap(nullptr, kSharedBytes + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    mprotect(static_cast<char*>(memory) + kSharedBytes, 4096, PROT_NONE);
    return static_cast<char*>(memory) + kSharedBytes;
  }();
  return end;
}
char* shared_begin(size_t bytes) { return shared_end() - (bytes + 15) / 16 * 16; }

size_t shared_limit(const void* kernel) {
  const auto own = allowed_dynamic_shared.find(kernel);
  return own == allowed_dynamic_shared.end() ? settings().shared_limit : std::max(settings().shared_limit, own->second);
}

std::string text(dim3 size) {
  return std::to_string(size.x) + " x " + std::to_string(size.y) + " x " + std::to_string(size.z);
}

// "": a device would take it.
std::string problem_of(const Launch& launch) {
  const dim3 grid = launch.grid, block = launch.block;
  if (block.x == 0 || block.y == 0 || block.z == 0 || block.x > 1024 || block.y > 1024 || block.z > 64 ||
      size_t{block.x} * block.y * block.z > kMostThreads) {
    return "a block of " + text(block) + " threads; at most 1024 x 1024 x 64, and 1024 of all";
  }
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535) {
    return "a grid of " + text(grid) + " blocks; at least one, at most 2147483647 x 65535 x 65535";
  }
  if (launch.dynamic_shared > shared_limit(launch.kernel)) {
    return std::to_string(launch.dynamic_shared) + " bytes of dynamic shared memory; at most " +
           std::to_string(shared_limit(launch.kernel));
  }
  return "";
}

void thread_main() {
  running.launch->call(running.launch->data);
  const Outside outside;
  Thread& thread = const_cast<Outside&>(outside).thread();
  thread.state = Thread::State::kDone;
  running.warps[thread.warp()].left |= 1u << thread.lane();
  suspend(thread);
  __builtin_unreachable();
}

void start_threads(int count) {
  const dim3 size = running.launch->block;
  running.threads.resize(std::max<size_t>(running.threads.size(), kMostThreads));
  running.warps.resize(32);
  for (auto& warp : running.warps) {
    warp.order.reset();
    warp.lanes = warp.left = 0;
    for (auto& gathering : warp.gatherings) gathering->mask = 0;
  }
  for (int i = 0; i < count; ++i) {
    auto& thread = running.threads[i];
    const auto n = static_cast<unsigned>(i);
    thread.number = i;
    thread.index = {n % size.x, n / size.x % size.y, n / (size.x * size.y)};
    thread.state = Thread::State::kReady;
    thread.begun.clear();
    thread.groups.clear();
    thread.fiber.start(&thread_main);
    running.warps[thread.warp()].lanes |= 1u << thread.lane();
  }
}

void arrange(std::vector<int>& order) {
  if (settings().order == Order::kShuffled) std::shuffle(order.begin(), order.end(), generator);
  if (settings().order == Order::kBackward) std::reverse(order.begin(), order.end());
}

// No thread can go on. True: all wait at one barrier, and pass it.
bool pass_barrier(int count) {
  const Thread *at_barrier = nullptr, *elsewhere = nullptr, *in_warp = nullptr, *gone = nullptr;
  for (int i = 0; i < count; ++i) {
    const auto& thread = running.threads[i];
    if (thread.state == Thread::State::kDone) gone = &thread;
    if (thread.state == Thread::State::kInWarp) in_warp = &thread;
    if (thread.state != Thread::State::kAtBarrier) continue;
    const bool is_same = at_barrier == nullptr || (at_barrier->site.line() == thread.site.line() &&
                                                   std::strcmp(at_barrier->site.file_name(), thread.site.file_name()) == 0);
    (is_same ? at_barrier : elsewhere) = &thread;
  }
  const auto fault = [](Fault kind, const Thread& waiting, std::string what, std::string how, const Thread& other) {
    running.finding = Finding{.fault = kind, .what = std::move(what), .thread = waiting.number, .site = waiting.site,
                              .how = std::move(how), .other_block = running.block, .other_thread = other.number,
                              .other_site = other.site};
    return false;
  };
  if (in_warp != nullptr) {
    const auto& warp = running.warps[in_warp->warp()];
    for (const auto& gathering : warp.gatherings) {
      if (gathering->mask != in_warp->mask) continue;
      const unsigned missing = gathering->mask & warp.lanes & ~gathering->arrived;
      const auto& absent = running.threads[in_warp->warp() * 32 + __builtin_ctz(missing)];
      const bool has_left = absent.state == Thread::State::kDone;
      return fault(Fault::kWarp, *in_warp, "waits for lanes of its mask that do not come",
                   has_left ? "has left the kernel" : "waits elsewhere", absent);
    }
  }
  if (elsewhere != nullptr) {
    return fault(Fault::kDivergence, *at_barrier, "waits at a barrier", "waits at another one", *elsewhere);
  }
  if (gone != nullptr) return fault(Fault::kDivergence, *at_barrier, "waits at a barrier", "has left the kernel", *gone);
  ++running.barriers;
  return true;
}

void run_block() {
  const dim3 size = running.launch->block;
  const int count = static_cast<int>(size.x * size.y * size.z);
  running.barriers = 0;
  start_threads(count);
  std::vector<int> ready(count);
  std::iota(ready.begin(), ready.end(), 0);
  for (int done = 0; done < count;) {
    arrange(ready);
    for (const int i : ready) {
      current = &running.threads[i];
      current->fiber.resume();
      current = nullptr;
      if (running.finding) return;
      if (running.threads[i].state == Thread::State::kDone) ++done;
    }
    const auto collect = [&](Thread::State state) {
      ready.clear();
      for (int i = 0; i < count; ++i) {
        if (running.threads[i].state == state) ready.push_back(i);
      }
    };
    collect(Thread::State::kReady);
    if (!ready.empty() || done == count) continue;
    if (!pass_barrier(count)) return;
    collect(Thread::State::kAtBarrier);
    for (const int i : ready) running.threads[i].state = Thread::State::kReady;
  }
}

void run_blocks(const Launch& launch) {
  const dim3 grid = launch.grid;
  const FaultHandler handler;
  char* const dynamic = shared_begin(launch.dynamic_shared);
  enter_shared(dynamic, launch.dynamic_shared);
  running.launch_serial += 1;
  running.first_block_serial = running.block_serial + 1;
  running.static_shared_used = 0;
  running.blocks.resize(size_t{grid.x} * grid.y * grid.z);
  std::iota(running.blocks.begin(), running.blocks.end(), int64_t{0});
  generator.seed(settings().seed);
  if (settings().order == Order::kShuffled) std::shuffle(running.blocks.begin(), running.blocks.end(), generator);
  if (settings().order == Order::kBackward) std::reverse(running.blocks.begin(), running.blocks.end());
  for (const int64_t block : running.blocks) {
    const auto n = static_cast<uint64_t>(block);
    running.block = block;
    running.block_index = {static_cast<unsigned>(n % grid.x), static_cast<unsigned>(n / grid.x % grid.y),
                           static_cast<unsigned>(n / (uint64_t{grid.x} * grid.y))};
    ++running.block_serial;
    std::memset(dynamic, 0xff, launch.dynamic_shared);
    run_block();
    const size_t shared = launch.dynamic_shared + running.static_shared_used;
    if (!running.finding && shared > shared_limit(launch.kernel)) {
      running.finding = Finding{.fault = Fault::kLaunch,
                                .what = std::to_string(launch.dynamic_shared) + " bytes of dynamic and " +
                                        std::to_string(running.static_shared_used) +
                                        " of static shared memory; at most " + std::to_string(shared_limit(launch.kernel))};
    }
    if (running.finding) break;
  }
  leave_shared();
}

int error_of(Fault fault) {
  switch (fault) {
    case Fault::kLaunch: return cudaErrorInvalidConfiguration;
    case Fault::kOutOfBounds: return cudaErrorIllegalAddress;
    case Fault::kMisaligned: return cudaErrorMisalignedAddress;
    default: return cudaErrorLaunchFailure;
  }
}

}  // namespace

void* dynamic_shared() { return shared_begin(running.launch->dynamic_shared); }

void suspend(Thread& thread) { thread.fiber.suspend(); }

void stop(Thread& thread, Finding finding) {
  running.finding = std::move(finding);
  thread.state = Thread::State::kDone;
  suspend(thread);
  __builtin_unreachable();
}

void sync_block(Site site) {
  Outside outside;
  outside.thread().state = Thread::State::kAtBarrier;
  outside.thread().site = site;
  suspend(outside.thread());
}

int run(const Launch& launch) {
  const std::lock_guard lock(launching());
  running.launch = &launch;
  running.finding.reset();
  if (settings().on_launch) {
    const dim3 grid = launch.grid, block = launch.block;
    settings().on_launch({kernel_name(launch.kernel), {grid.x, grid.y, grid.z}, {block.x, block.y, block.z},
                          launch.dynamic_shared});
  }
  if (auto problem = problem_of(launch); !problem.empty()) {
    running.finding = Finding{.fault = Fault::kLaunch, .what = std::move(problem)};
  } else {
    run_blocks(launch);
  }
  if (!running.finding) return cudaSuccess;
  const Report report = describe(*running.finding);
  const int error = error_of(report.fault);
  set_last_error(error);
  if (!settings().on_fault) throw KernelFault(report);
  settings().on_fault(report);
  return error;
}

int allow_dynamic_shared(const void* kernel, int64_t bytes) {
  const std::lock_guard lock(launching());
  if (bytes < 0 || static_cast<size_t>(bytes) > settings().shared_opt_in_limit) {
    set_last_error(cudaErrorInvalidValue);
    return cudaErrorInvalidValue;
  }
  allowed_dynamic_shared[kernel] = static_cast<size_t>(bytes);
  return cudaSuccess;
}

}  // namespace cuda_on_cpu
