// Laid out as swiglu_cuda.cu. Products that must not be fused into sums are named, so that the bits are those of the formula.
#include "kernels/common/eights.cuh"
#include "kernels/swiglu/swiglu_cuda.h"

namespace facellm {
namespace {

struct GateGradients {
  float gate, up;
};

// By e^-|g|, which is never too large; neither s nor 1 - s is a difference.
__device__ __forceinline__ GateGradients gate_gradients(float g, float u, float dy) {
  const float small = expf(-fabsf(g)), all = 1.f + small;
  const float s = (g < 0.f ? small : 1.f) / all, rest = (g < 0.f ? 1.f : small) / all;
  return {dy * u * s * __fadd_rn(__fmul_rn(g, rest), 1.f), dy * (g * s)};
}

template <typename T>
__global__ void swiglu_backward_kernel(const T* gate_up, const T* of_out, T* out, int64_t size) {
  cuda::let_next_start();
  cuda::wait_for_previous();
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= size) return;
  const int64_t row = blockIdx.y;
  const T* const in = gate_up + row * 2 * size;
  const auto own = gate_gradients(cuda::load(in + i), cuda::load(in + size + i), cuda::load(of_out + row * size + i));
  cuda::store(out + row * 2 * size + i, own.gate);
  cuda::store(out + row * 2 * size + size + i, own.up);
}

__global__ void swiglu_backward_eights_kernel(const __nv_bfloat16* gate_up, const __nv_bfloat16* of_out, __nv_bfloat16* out, int64_t size) {
  cuda::let_next_start();
  cuda::wait_for_previous();
  const int64_t i = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * 8;
  if (i >= size) return;
  const int64_t row = blockIdx.y;
  float gates[8], ups[8], dys[8];
  cuda::widen_eight(cuda::load_eight(gate_up + row * 2 * size + i), gates);
  cuda::widen_eight(cuda::load_eight(gate_up + row * 2 * size + size + i), ups);
  cuda::widen_eight(cuda::load_eight(of_out + row * size + i), dys);
#pragma unroll
  for (int k = 0; k < 8; ++k) {
    const auto own = gate_gradients(gates[k], ups[k], dys[k]);
    gates[k] = own.gate;
    ups[k] = own.up;
  }
  *reinterpret_cast<uint4*>(out + row * 2 * size + i) = cuda::narrow_eight(gates);
  *reinterpret_cast<uint4*>(out + row * 2 * size + size + i) = cuda::narrow_eight(ups);
}

template <typename T>
void launch(const void* gate_up, const void* of_out, void* out, int64_t rows, int64_t size, cudaStream_t stream) {
  constexpr int kThreads = 256;
  constexpr int64_t kMostRows = 65535;  // of a grid's second dimension
  const bool has_eights =
      sizeof(T) == 2 && size % 8 == 0 && cuda::is_aligned(gate_up) && cuda::is_aligned(of_out) && cuda::is_aligned(out);
  const int64_t each = has_eights ? 8 : 1;
  const auto columns = static_cast<unsigned>((size + kThreads * each - 1) / (kThreads * each));
  for (int64_t begin = 0; begin < rows; begin += kMostRows) {
    const int64_t count = rows - begin < kMostRows ? rows - begin : kMostRows;
    const dim3 grid(columns, static_cast<unsigned>(count));
    const T* const in = static_cast<const T*>(gate_up) + begin * 2 * size;
    const T* const dy = static_cast<const T*>(of_out) + begin * size;
    T* const to = static_cast<T*>(out) + begin * 2 * size;
    if constexpr (sizeof(T) == 2) {
      if (has_eights) {
        cuda::launch_early(swiglu_backward_eights_kernel, grid, kThreads, 0, stream, in, dy, to, size);
        continue;
      }
    }
    cuda::launch_early(swiglu_backward_kernel<T>, grid, kThreads, 0, stream, in, dy, to, size);
  }
}

}  // namespace

void swiglu_backward_cuda(const void* gate_up, const void* of_out, void* out, int64_t rows, int64_t size, bool is_bf16,
                          cudaStream_t stream) {
  const auto run = is_bf16 ? launch<__nv_bfloat16> : launch<float>;
  run(gate_up, of_out, out, rows, size, stream);
}

}  // namespace facellm
