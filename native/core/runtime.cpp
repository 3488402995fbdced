#include "core/runtime.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <torch/version.h>

#include <fstream>

#include "core/cuda_archs.h"

#include "core/cpu_level.h"

#if FACELLM_CUDA
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <cuda_runtime_api.h>
#endif

#ifndef FACELLM_VERSION
#define FACELLM_VERSION "unknown"
#endif

namespace facellm {
namespace {

#if FACELLM_CUDA
int device_index(const std::string& device) {
  const auto colon = device.find(':');
  return colon == std::string::npos ? c10::cuda::current_device()
                                    : std::stoi(device.substr(colon + 1));
}

void describe_gpus(RuntimeInfo& info) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) {
    info.gpu_problem = cudaGetErrorString(status);
    (void)cudaGetLastError();
    return;
  }
  if (count == 0) info.gpu_problem = "the driver shows no device";
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties{};
    if (cudaGetDeviceProperties(&properties, i) != cudaSuccess) continue;
    info.gpus.push_back({properties.name, properties.major, properties.minor,
                         static_cast<int64_t>(properties.totalGlobalMem)});
  }
}
#endif

}  // namespace

RuntimeInfo runtime_info() {
  RuntimeInfo info;
  info.version = FACELLM_VERSION;
  info.libtorch = TORCH_VERSION;
#if FACELLM_CUDA
  info.is_cuda_build = true;
  describe_gpus(info);
#else
  info.is_cuda_build = false;
#endif
  for (const auto& arch : compiled_cuda_archs()) info.cuda_archs.push_back(cuda_arch_name(arch));
  info.cpu_capability = at::get_cpu_capability();
  const auto& cpu = cpu_features();
  info.cpu_level = cpu_level_name(cpu.level);
  info.has_avx512_bf16 = cpu.has_avx512_bf16;
  info.widens_bf16 = !has_fast_bf16_products(cpu);
  info.threads = at::get_num_threads();
  return info;
}

void set_threads(int threads) { at::set_num_threads(threads); }

WithThreads::WithThreads(int threads) : before_(at::get_num_threads()) {
  if (threads == 0 || threads == before_) {
    before_ = 0;
  } else {
    at::set_num_threads(threads);
  }
}

WithThreads::~WithThreads() {
  if (before_ != 0) at::set_num_threads(before_);
}

int64_t peak_bytes(const std::string& device) {
#if FACELLM_CUDA
  if (device.starts_with("cuda")) {
    using c10::CachingDeviceAllocator::StatType;
    const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(
        static_cast<c10::DeviceIndex>(device_index(device)));
    return stats.reserved_bytes[static_cast<size_t>(StatType::AGGREGATE)].peak;
  }
#endif
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) * 1024;
  }
  return 0;
}

}  // namespace facellm
