// A launch: its limits, and its blocks one after the other.
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <new>
#include <numeric>
#include <utility>

#include "block.h"
#include "cuda_runtime_api.h"
#include "regions.h"
#include "state.h"
#include "symbols.h"

namespace cuda_on_cpu {

Running running;

std::recursive_mutex& launching() {
  static std::recursive_mutex mutex;
  return mutex;
}

Settings& settings() {
  static Settings settings;
  return settings;
}

const void* translated(const void* pointer) {
  return settings().translate != nullptr && pointer != nullptr ? settings().translate(pointer) : pointer;
}

namespace {

constexpr size_t kSharedBytes = 256 * 1024;
std::map<const void*, size_t> allowed_dynamic_shared;  // by kernel, where it asked for more

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
  random_numbers().seed(settings().seed);
  __atomic_store_n(&current.host, __builtin_thread_pointer(), __ATOMIC_RELAXED);
  arrange(running.blocks);
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
  __atomic_store_n(&current.host, nullptr, __ATOMIC_RELAXED);
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

int run(const Launch& launch) {
  const std::lock_guard lock(launching());
  running.launch = &launch;
  running.finding.reset();
  if (settings().on_launch) {
    const dim3 grid = launch.grid, block = launch.block;
    settings().on_launch({kernel_name(launch.kernel), {grid.x, grid.y, grid.z}, {block.x, block.y, block.z},
                          launch.dynamic_shared, launch.stream,
                          {launch.arguments, launch.arguments + launch.argument_count}});
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
