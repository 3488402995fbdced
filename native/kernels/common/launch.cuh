// How a kernel is started, and where it finds the shared memory whose size its launch names. What stands here is compiled
// by nvcc, and by the host's compiler for the tests that run kernels on the CPU (docs/gpu.md).
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <utility>

namespace facellm::cuda {

// Starts `kernel`; what goes wrong in that is left to cudaGetLastError(), as after <<< >>>.
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
            Arguments&&... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  (void)cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...);
}

// The block's dynamic shared memory, aligned for every access: the same bytes at each call.
template <typename T>
__device__ __forceinline__ T* dynamic_shared() {
#if defined(__CUDACC__)
  extern __shared__ __align__(16) unsigned char bytes[];
  return reinterpret_cast<T*>(bytes);
#else
  return static_cast<T*>(::cuda_on_cpu::dynamic_shared());
#endif
}

}  // namespace facellm::cuda
