// Host side of a kernel launch: device guard, current stream, launch check. Only CUDA builds.
#pragma once

#if FACELLM_CUDA
#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <string>

#include "core/device_health.h"

namespace facellm {

inline void throw_if_failed(cudaError_t status, const std::string& where) {
  if (status == cudaSuccess) return;
  const std::string text = "CUDA error: " + std::string(cudaGetErrorString(status)) + " (" + where + ")";
  throw device_error(classify_device_failure(text), text);
}

// Runs `launch(stream)` on x's device and current stream.
template <typename Launch>
void cuda_launch(const char* op, const at::Tensor& x, Launch&& launch) {
  const c10::cuda::CUDAGuard guard(x.device());
  // What failed before is not this kernel's fault, and must not be taken for it.
  throw_if_failed(cudaGetLastError(), std::string("noticed before ") + op + ", of an earlier operation");
  launch(c10::cuda::getCurrentCUDAStream().stream());
  throw_if_failed(cudaGetLastError(), op);
}

}  // namespace facellm
#endif
