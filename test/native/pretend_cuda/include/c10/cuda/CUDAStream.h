#pragma once

#include <c10/core/Stream.h>
#include <cuda_runtime_api.h>

#include "device_state.h"

namespace c10::cuda {

class CUDAStream {
 public:
  explicit CUDAStream(Stream stream) : stream_(stream) {}
  cudaStream_t stream() const { return static_cast<cudaStream_t>(pretend_cuda::native_stream(stream_)); }

 private:
  Stream stream_;
};

inline CUDAStream getCurrentCUDAStream(DeviceIndex device = -1) { return CUDAStream(pretend_cuda::current_stream(device)); }

}  // namespace c10::cuda
