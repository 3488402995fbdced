// One block a row, which it reads twice: the second time it comes from the first-level cache. Eight numbers of bf16 at once where 16 bytes
// are aligned. Products that are part of sums are named, so that the bits do not depend on what a compiler fuses.
#include "kernels/add_rms_norm/add_rms_norm_cuda.h"
#include "kernels/common/eights.cuh"

namespace facellm {
namespace {

constexpr int kThreads = 256;

template <typename T>
struct Numbers {
  static constexpr int kCount = 1;
  float v[kCount];
  __device__ __forceinline__ explicit Numbers(const T* from) { v[0] = cuda::load(from); }
  __device__ __forceinline__ void store(T* to) const { cuda::store(to, v[0]); }
};

struct ByEights {};
template <>
struct Numbers<ByEights> {
  static constexpr int kCount = 8;
  float v[kCount];
  __device__ __forceinline__ explicit Numbers(const __nv_bfloat16* from) { cuda::widen_eight(cuda::load_eight(from), v); }
  __device__ __forceinline__ void store(__nv_bfloat16* to) const { *reinterpret_cast<uint4*>(to) = cuda::narrow_eight(v); }
};

// N: T, or ByEights.
template <typename T, typename N>
__global__ void add_rms_norm_backward_kernel(const T* sum, const T* weight, const T* of_normalised, const T* of_sum, T* out, int64_t size,
                                             float eps) {
  constexpr int kCount = Numbers<N>::kCount;
  cuda::let_next_start();
  cuda::wait_for_previous();
  const int64_t base = static_cast<int64_t>(blockIdx.x) * size;
  float squares = 0.f, products = 0.f;
  for (int64_t i = threadIdx.x * kCount; i < size; i += kThreads * kCount) {
    const Numbers<N> x(sum + base + i), dy(of_normalised + base + i), w(weight + i);
#pragma unroll
    for (int k = 0; k < kCount; ++k) {
      squares = __fmaf_rn(x.v[k], x.v[k], squares);
      products = __fmaf_rn(__fmul_rn(dy.v[k], w.v[k]), x.v[k], products);
    }
  }
  const float mean = __fadd_rn(cuda::block_sum(squares) / static_cast<float>(size), eps);
  const float share = cuda::block_sum(products) / static_cast<float>(size) / mean, scale = rsqrtf(mean);
  for (int64_t i = threadIdx.x * kCount; i < size; i += kThreads * kCount) {
    const Numbers<N> x(sum + base + i), dy(of_normalised + base + i), w(weight + i);
    Numbers<N> dx(of_sum == nullptr ? sum + base + i : of_sum + base + i);
#pragma unroll
    for (int k = 0; k < kCount; ++k) {
      const float own = __fmul_rn(__fmaf_rn(-x.v[k], share, __fmul_rn(dy.v[k], w.v[k])), scale);
      dx.v[k] = of_sum == nullptr ? own : __fadd_rn(own, dx.v[k]);
    }
    dx.store(out + base + i);
  }
}

template <typename T, typename N>
void launch(const void* sum, const void* weight, const void* of_normalised, const void* of_sum, void* out, int64_t rows, int64_t size,
            float eps, cudaStream_t stream) {
  cuda::launch_early(add_rms_norm_backward_kernel<T, N>, static_cast<unsigned>(rows), kThreads, 0, stream, static_cast<const T*>(sum),
                     static_cast<const T*>(weight), static_cast<const T*>(of_normalised), static_cast<const T*>(of_sum),
                     static_cast<T*>(out), size, eps);
}

}  // namespace

void add_rms_norm_backward_cuda(const void* sum, const void* weight, const void* of_normalised, const void* of_sum, void* out,
                                int64_t rows, int64_t size, float eps, bool is_bf16, cudaStream_t stream) {
  const bool has_eights = is_bf16 && size % 8 == 0 && cuda::is_aligned(sum) && cuda::is_aligned(weight) &&
                          cuda::is_aligned(of_normalised) && cuda::is_aligned(of_sum) && cuda::is_aligned(out);
  const auto run = has_eights ? launch<__nv_bfloat16, ByEights> : is_bf16 ? launch<__nv_bfloat16, __nv_bfloat16> : launch<float, float>;
  run(sum, weight, of_normalised, of_sum, out, rows, size, eps, stream);
}

}  // namespace facellm
