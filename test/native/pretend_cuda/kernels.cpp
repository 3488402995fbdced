// Our own kernels on this device: test/native/cuda_on_cpu runs them, on the device's bytes.
#include <cuda_runtime_api.h>

#include <cstdio>
#include <sstream>

#include "cuda_on_cpu.h"
#include "device_state.h"
#include "device_memory.h"
#include "graph.h"
#include "pretend_cuda.h"
#include "record.h"
#include "stream_order.h"

namespace pretend_cuda {
namespace {

std::string line_of(const cuda_on_cpu::LaunchInfo& launch) {
  std::ostringstream text;
  text << launch.kernel << " grid " << launch.grid[0] << "," << launch.grid[1] << "," << launch.grid[2] << " block " << launch.block[0]
       << "," << launch.block[1] << "," << launch.block[2] << " shared " << launch.dynamic_shared;
  for (const auto& argument : launch.arguments) {
    text << " ";
    if (argument.is_pointer) {
      text << name_of(*static_cast<void* const*>(argument.value));
      continue;
    }
    const auto* const bytes = static_cast<const unsigned char*>(argument.value);
    for (size_t i = 0; i < argument.bytes; ++i) text << std::hex << static_cast<int>(bytes[i]) << ".";
    text << std::dec;
  }
  return text.str();
}

void before_launch(const cuda_on_cpu::LaunchInfo& launch) {
  note_operation(launch.kernel);
  if (launch.stream != native_stream(current_stream(current_device()))) {
    complain(launch.kernel + " is launched on another stream than the current one");
  }
  for (const auto& argument : launch.arguments) {
    if (!argument.is_pointer) continue;
    const void* const p = *static_cast<void* const*>(argument.value);
    if (p == nullptr) continue;
    if (!owns(p)) {
      complain(launch.kernel + " is handed a pointer of the host");
    } else if (device_of(p) != current_device()) {
      complain(launch.kernel + " runs on cuda:" + std::to_string(current_device()) + " and is handed " + describe(p));
    } else {
      note_use(p, argument.is_constant ? Use::kRead : Use::kWrite);
    }
  }
  if (is_in_step()) add_line(line_of(launch));
}

const int is_installed = [] {
  auto& settings = cuda_on_cpu::settings();
  settings.translate = [](const void* p) -> const void* { return host_alias(p); };
  settings.on_launch = &before_launch;
  settings.take_over = [](const std::function<int()>& start) {
    if (!is_recording()) return false;
    record_node([start] { start(); });
    return true;
  };
  // The host goes on, and learns of it what a GPU would tell.
  settings.on_fault = [](const cuda_on_cpu::Report& report) { complain(report.text); };
  return 0;
}();

}  // namespace
}  // namespace pretend_cuda

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  *count = pretend_cuda::kDevices;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device < 0 || device >= pretend_cuda::kDevices) return cudaErrorInvalidValue;
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "pretend device %d", device);
  properties->totalGlobalMem = size_t{8} << 30;
  properties->sharedMemPerBlock = 48 * 1024;
  properties->major = 8;
  properties->multiProcessorCount = 1;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  if (device < 0 || device >= pretend_cuda::kDevices) return cudaErrorInvalidValue;
  *value = attribute == cudaDevAttrComputeCapabilityMajor ? 8 : 0;
  return cudaSuccess;
}
}
