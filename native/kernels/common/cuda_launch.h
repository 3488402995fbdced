// Host side of a kernel launch: device guard, current stream, launch check. Only CUDA builds.
#pragma once

#if FACELLM_CUDA
#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <string>

#include "core/error.h"

namespace facellm {

// Runs `launch(stream)` on x's device and current stream.
template <typename Launch>
void cuda_launch(const char* op, const at::Tensor& x, Launch&& launch) {
  const c10::cuda::CUDAGuard guard(x.device());
  launch(c10::cuda::getCurrentCUDAStream().stream());
  const cudaError_t status = cudaGetLastError();
  if (status != cudaSuccess) {
    throw Error(ErrorCode::kDeviceUnavailable,
                std::string(op) + ": the kernel could not be launched: " + cudaGetErrorString(status));
  }
}

}  // namespace facellm
#endif
