// One thread an element; memory-bound, neighbouring threads read neighbouring addresses. Roundings as
// in swiglu_reference.cpp.
#include "kernels/common/cuda_common.cuh"
#include "kernels/swiglu/swiglu_cuda.h"

namespace facellm {
namespace {

template <typename T>
__global__ void swiglu_kernel(const T* gate_up, T* out, int64_t size) {
  cuda::let_next_start();
  cuda::wait_for_previous();
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= size) return;
  const int64_t row = blockIdx.y;
  const T* in = gate_up + row * 2 * size;
  const float gate = cuda::load(in + i);
  const float silu = cuda::round_to<T>(gate / (1.f + expf(-gate)));
  cuda::store(out + row * size + i, silu * cuda::load(in + size + i));
}

template <typename T>
void launch(const void* gate_up, void* out, int64_t rows, int64_t size, cudaStream_t stream) {
  constexpr int kThreads = 256;
  constexpr int64_t kMostRows = 65535;  // of a grid's second dimension
  const auto columns = static_cast<unsigned>((size + kThreads - 1) / kThreads);
  for (int64_t begin = 0; begin < rows; begin += kMostRows) {
    const int64_t count = rows - begin < kMostRows ? rows - begin : kMostRows;
    cuda::launch_early(swiglu_kernel<T>, dim3(columns, static_cast<unsigned>(count)), kThreads, 0, stream,
                 static_cast<const T*>(gate_up) + begin * 2 * size, static_cast<T*>(out) + begin * size, size);
  }
}

}  // namespace

void swiglu_cuda(const void* gate_up, void* out, int64_t rows, int64_t size, bool is_bf16,
                 cudaStream_t stream) {
  const auto run = is_bf16 ? launch<__nv_bfloat16> : launch<float>;
  run(gate_up, out, rows, size, stream);
}

}  // namespace facellm
