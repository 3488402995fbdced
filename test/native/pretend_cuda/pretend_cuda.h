// A CUDA device that is not there: libtorch's own CUDA key, served by the CPU, in memory that the host cannot touch
// (docs/gpu.md). This is the face for tests: what was done, what was wrong, when memory runs out. Free of torch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace pretend_cuda {

constexpr int kDevices = 2;

// What the devices have done since reset_counts().
struct Counts {
  std::map<std::string, int64_t> operations;  // libtorch's operators and kernels of our own, by name
  std::map<std::string, int64_t> waits;       // of the host for the device, by reason
  int64_t pinned_uploads = 0, pageable_uploads = 0, uploaded_bytes = 0;
  int64_t downloads = 0, downloaded_bytes = 0;
  int64_t device_copies = 0;  // also among the operations
  int64_t allocations = 0, allocated_bytes = 0;

  int64_t total_operations() const;
  int64_t total_waits() const;
};
Counts counts();
void reset_counts();
std::string to_text(const Counts& counts);

// What no program may do: told on stderr when the process ends, which then fails (exit status 86).
void complain(const std::string& text);
std::vector<std::string> take_complaints();

// Memory. The allocation `number` from now on (0: the next) fails once, as CUDA's does; -1: none.
void fail_allocation(int64_t number);
bool has_allocation_failed();  // the one that was to
// More than this many bytes a device has not; -1: no limit.
void limit_memory(int64_t bytes);
int64_t live_bytes(int device);
int64_t peak_bytes(int device);
void reset_peak_bytes(int device);

// Whether attention that learns is cuDNN's wherever it could be flash attention, as on cards of compute capability 9.0.
void prefer_cudnn(bool does);

// Events recorded from now on are found to be under way by so many queries.
void finish_events_after(int queries);

// A step between begin_step() and end_step(), of one thread: what it did, in a form that two steps share if the first,
// captured as a graph, could be replayed as the second; and what no captured step may do.
struct Step {
  std::vector<std::string> lines;
  std::vector<std::string> broken;  // rules of capture
  int64_t left_alive = 0;           // allocations of the step that outlive it
};
void begin_step();
Step end_step();
// "": the same. Else the first line that differs, of both.
std::string first_difference(const Step& a, const Step& b);

}  // namespace pretend_cuda
