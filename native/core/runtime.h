// What this build and this machine can do, and process-wide settings. Torch-free.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace facellm {

struct GpuInfo {
  std::string name;
  int compute_major;
  int compute_minor;
  int64_t memory_bytes;
};

struct RuntimeInfo {
  std::string version;          // of facellm
  std::string libtorch;         // version compiled against, "2.13.0"
  bool is_cuda_build;
  std::vector<std::string> cuda_archs;  // "sm_80", "compute_90"
  std::string cpu_capability;   // at::get_cpu_capability(): "AVX512", ...
  std::string cpu_level;        // what our own code counts on: "scalar", "avx2", "avx512" or "amx"
  bool has_avx512_bf16;
  bool widens_bf16;             // large products of bf16 are computed in fp32: no hardware for them
  int threads;                  // intra-op threads in use
  std::vector<GpuInfo> gpus;    // empty on a CPU build or without a driver
  std::string gpu_problem;      // why `gpus` is empty on a CUDA build, else ""
};

// Throws kInvalidArgument for an unknown FACELLM_CPU_ISA.
RuntimeInfo runtime_info();
// Intra-op threads; at least 1. Call on the engine thread.
void set_threads(int threads);
// So many intra-op threads of the calling thread for its lifetime; 0: as they are.
class WithThreads {
 public:
  explicit WithThreads(int threads);
  ~WithThreads();
  WithThreads(const WithThreads&) = delete;
  WithThreads& operator=(const WithThreads&) = delete;

 private:
  int before_;  // 0: nothing was changed
};
// Highest resident memory of the process so far (Linux VmHWM), or the CUDA allocator's peak for a
// CUDA device name; bytes, 0 where unknown.
int64_t peak_bytes(const std::string& device);

}  // namespace facellm
