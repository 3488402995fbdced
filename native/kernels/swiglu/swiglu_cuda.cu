// Memory-bound, neighbouring threads read neighbouring addresses: one thread an element, or eight of bf16 where 16 bytes are aligned.
// Roundings as in swiglu_reference.cpp.
#include "kernels/common/eights.cuh"
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

__global__ void swiglu_eights_kernel(const __nv_bfloat16* gate_up, __nv_bfloat16* out, int64_t size) {
  cuda::let_next_start();
  cuda::wait_for_previous();
  const int64_t i = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * 8;
  if (i >= size) return;
  const int64_t row = blockIdx.y;
  const __nv_bfloat16* const in = gate_up + row * 2 * size + i;
  float gates[8], ups[8];
  cuda::widen_eight(cuda::load_eight(in), gates);
  cuda::widen_eight(cuda::load_eight(in + size), ups);
#pragma unroll
  for (int k = 0; k < 8; ++k) ups[k] *= cuda::round_to<__nv_bfloat16>(gates[k] / (1.f + expf(-gates[k])));
  *reinterpret_cast<uint4*>(out + row * size + i) = cuda::narrow_eight(ups);
}

template <typename T>
void launch(const void* gate_up, void* out, int64_t rows, int64_t size, cudaStream_t stream) {
  constexpr int kThreads = 256;
  constexpr int64_t kMostRows = 65535;  // of a grid's second dimension
  const bool has_eights = sizeof(T) == 2 && size % 8 == 0 && cuda::is_aligned(gate_up) && cuda::is_aligned(out);
  const int64_t each = has_eights ? 8 : 1;
  const auto columns = static_cast<unsigned>((size + kThreads * each - 1) / (kThreads * each));
  for (int64_t begin = 0; begin < rows; begin += kMostRows) {
    const int64_t count = rows - begin < kMostRows ? rows - begin : kMostRows;
    const dim3 grid(columns, static_cast<unsigned>(count));
    const T* const in = static_cast<const T*>(gate_up) + begin * 2 * size;
    T* const to = static_cast<T*>(out) + begin * size;
    if constexpr (sizeof(T) == 2) {
      if (has_eights) {
        cuda::launch_early(swiglu_eights_kernel, grid, kThreads, 0, stream, in, to, size);
        continue;
      }
    }
    cuda::launch_early(swiglu_kernel<T>, grid, kThreads, 0, stream, in, to, size);
  }
}

}  // namespace

void swiglu_cuda(const void* gate_up, void* out, int64_t rows, int64_t size, bool is_bf16,
                 cudaStream_t stream) {
  const auto run = is_bf16 ? launch<__nv_bfloat16> : launch<float>;
  run(gate_up, out, rows, size, stream);
}

}  // namespace facellm
