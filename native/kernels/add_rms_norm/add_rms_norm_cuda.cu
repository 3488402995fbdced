// One block a row. The row's sums are kept in shared memory as fp32 between the two passes, so global
// memory is read once. Roundings as in add_rms_norm_reference.cpp.
#include "kernels/add_rms_norm/add_rms_norm_cuda.h"
#include "kernels/common/cuda_common.cuh"

namespace facellm {
namespace {

template <typename T>
__global__ void add_rms_norm_kernel(const T* residual, const T* delta, const T* weight, T* sum, T* normalised,
                                    int64_t size, int64_t residual_stride, float eps) {
  float* const row = cuda::dynamic_shared<float>();
  cuda::let_next_start();
  cuda::wait_for_previous();
  const int64_t base = static_cast<int64_t>(blockIdx.x) * size;
  const T* const in = residual + static_cast<int64_t>(blockIdx.x) * residual_stride;
  float squares = 0.f;
  for (int64_t i = threadIdx.x; i < size; i += blockDim.x) {
    float x = cuda::load(in + i);
    if (delta != nullptr) {
      x = cuda::round_to<T>(x + cuda::load(delta + base + i));
      cuda::store(sum + base + i, x);
    }
    row[i] = x;
    squares += x * x;
  }
  const float scale = rsqrtf(cuda::block_sum(squares) / static_cast<float>(size) + eps);
  for (int64_t i = threadIdx.x; i < size; i += blockDim.x) {
    const float value = cuda::round_to<T>(row[i] * scale);
    cuda::store(normalised + base + i, value * cuda::load(weight + i));
  }
}

template <typename T>
void launch(const void* residual, const void* delta, const void* weight, void* sum,
            void* normalised, int64_t rows, int64_t size, int64_t residual_stride, float eps, cudaStream_t stream) {
  const int threads = size >= 4096 ? 1024 : 256;
  cuda::launch_early(add_rms_norm_kernel<T>, static_cast<unsigned>(rows), threads, size * sizeof(float), stream,
               static_cast<const T*>(residual), static_cast<const T*>(delta), static_cast<const T*>(weight),
               static_cast<T*>(sum), static_cast<T*>(normalised), size, residual_stride, eps);
}

}  // namespace

void add_rms_norm_cuda(const void* residual, const void* delta, const void* weight, void* sum,
                       void* normalised, int64_t rows, int64_t size, int64_t residual_stride, float eps,
                       bool is_bf16, cudaStream_t stream) {
  const auto run = is_bf16 ? launch<__nv_bfloat16> : launch<float>;
  run(residual, delta, weight, sum, normalised, rows, size, residual_stride, eps, stream);
}

}  // namespace facellm
