// How a kernel is started, and where it finds the shared memory whose size its launch names. What stands here is compiled
// by nvcc, and by the host's compiler for the tests that run kernels on the CPU (docs/gpu.md).
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
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

// Of the current device. On the CPU few, so that tests come by kernels' loops.
inline int64_t multiprocessors() {
#if defined(__CUDACC__)
  int device = 0, count = 1;
  if (cudaGetDevice(&device) == cudaSuccess) (void)cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device);
  return count;
#else
  return 2;
#endif
}

// As launch(), for a kernel that may be started while the one before it still runs: it calls wait_for_previous() before it
// reads or writes anything that kernel touches, and so before it ends. Cards before 9.0 start it afterwards, as ever.
template <typename... Parameters, typename... Arguments>
void launch_early(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
                  Arguments&&... arguments) {
#if defined(__CUDACC__)
  int device = 0, major = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) != cudaSuccess || major < 9) {
    return launch(kernel, grid, block, shared_bytes, stream, std::forward<Arguments>(arguments)...);
  }
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = 1;
  (void)cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...);
#else
  launch(kernel, grid, block, shared_bytes, stream, std::forward<Arguments>(arguments)...);
#endif
}

// In a kernel of launch_early(): what the kernels before it wrote is there, and they read no more.
__device__ __forceinline__ void wait_for_previous() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  cudaGridDependencySynchronize();
#endif
}

// Lets the kernel behind this one be started once all blocks have come here: it waits for this one's end by itself.
__device__ __forceinline__ void let_next_start() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  cudaTriggerProgrammaticLaunchCompletion();
#endif
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
