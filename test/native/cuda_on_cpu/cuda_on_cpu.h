// CUDA kernels on the CPU, every load and store checked (docs/gpu.md). This is the face for those who start kernels: what
// memory a kernel may touch, in which order threads run, what becomes of a fault. Free of torch and of GoogleTest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace cuda_on_cpu {

enum class Fault {
  kLaunch,         // a grid, a block or shared memory beyond what a device has
  kOutOfBounds,    // memory that is no region, or over a region's end
  kMisaligned,     // an address that is no multiple of what the access needs
  kUninitialised,  // shared memory that nobody wrote in this block
  kRace,           // two accesses, one a write, that nothing orders
  kDivergence,     // a barrier that not all threads of the block come to, or several at once
  kWarp,           // a warp function whose lanes do not all come, or a lane read that took no part
  kAsyncCopy,      // the target of an asynchronous copy, touched before it was waited for
};
const char* name_of(Fault fault);

// Where something happened. `line` is FILE:LINE, and where that was inlined, "; in FILE:LINE" for each caller.
struct Place {
  int64_t block = -1, thread = -1;  // numbers within grid and block; -1: not of one alone
  std::string line;
};

struct Report {
  Fault fault;
  std::string kernel;  // as in the source, with its template arguments
  Place place;
  Place other;       // the other party of a race or a divergence; an empty line: none
  std::string text;  // all of it, for a person
};

struct KernelFault : std::runtime_error {
  explicit KernelFault(Report why) : std::runtime_error(why.text), report(std::move(why)) {}
  Report report;
};

struct Argument {
  const void* value;  // a pointer's as the host calls it
  size_t bytes;
  bool is_pointer;
  bool is_constant;  // and to what the kernel only reads
};

struct LaunchInfo {
  std::string kernel;
  unsigned grid[3], block[3];
  size_t dynamic_shared;
  void* stream;
  std::vector<Argument> arguments;
};

// In which order blocks, and the threads of a block between two barriers, run. No kernel may depend on it.
enum class Order { kShuffled, kForward, kBackward };

struct Settings {
  uint64_t seed = 1;
  Order order = Order::kShuffled;
  // Static and dynamic together, without asking for more, and what cudaFuncSetAttribute may ask for (sm_80 has 163 KB).
  size_t shared_limit = 48 * 1024, shared_opt_in_limit = 163 * 1024;
  // Called for each fault, after the launch that it ended. Not set: the launch throws KernelFault. Where it returns,
  // cudaGetLastError() tells the error that CUDA would have, and the host goes on.
  std::function<void(const Report&)> on_fault;
  // Called before each launch.
  std::function<void(const LaunchInfo&)> on_launch;
  // True: the launch is not run now; `start` runs it, as often as wanted, as a graph's does. Not set: none.
  std::function<bool(const std::function<int()>& start)> take_over;
  // The address at which a kernel reaches what the host calls `pointer`; every pointer among a kernel's arguments goes
  // through it, and of structures among them those that are an array `pointers` and nothing else. Not set: the same.
  const void* (*translate)(const void* pointer) = nullptr;
};
// Not to be changed while a kernel runs.
Settings& settings();

// Memory that kernels may touch, exactly from `begin` on for `bytes`; everything else is out of bounds. The addresses are
// those that kernels see. From any thread, between launches.
void add_region(const void* begin, size_t bytes, std::string name);
void remove_region(const void* begin);

// What cudaGetLastError() tells next.
void set_last_error(int error);

// A region of its own for tests, filled with 0xff: NaN in every float type.
void* allocate(size_t bytes, const std::string& name);
void release(void* memory);

template <typename T>
class Buffer {
 public:
  Buffer(size_t count, const std::string& name)
      : count_(count), data_(static_cast<T*>(allocate(count * sizeof(T), name))) {}
  Buffer(Buffer&& other) noexcept : count_(other.count_), data_(std::exchange(other.data_, nullptr)) {}
  Buffer& operator=(Buffer&&) = delete;
  ~Buffer() {
    if (data_ != nullptr) release(data_);
  }

  T* data() { return data_; }
  T& operator[](size_t i) { return data_[i]; }
  size_t size() const { return count_; }
  T* begin() { return data_; }
  T* end() { return data_ + count_; }

 private:
  size_t count_;
  T* data_;
};

}  // namespace cuda_on_cpu
