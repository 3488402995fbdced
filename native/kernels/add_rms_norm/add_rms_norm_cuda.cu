// Rows of up to 1,024 numbers of bf16, aligned to 16 bytes: a warp a row, four rows a block. Else one block a row, whose sums are kept in
// shared memory as fp32 between the two passes, so global memory is read once. Roundings as in add_rms_norm_reference.cpp.
#include "kernels/add_rms_norm/add_rms_norm_cuda.h"
#include "kernels/common/norm_rows.cuh"

namespace facellm {
namespace {

constexpr int kRowsABlock = 4;

__global__ void __launch_bounds__(32 * kRowsABlock, 6)
    add_rms_norm_rows_kernel(const __nv_bfloat16* residual, const __nv_bfloat16* delta, const __nv_bfloat16* weight, __nv_bfloat16* sum,
                             __nv_bfloat16* normalised, int64_t rows, int64_t size, int64_t residual_stride, float eps) {
  cuda::let_next_start();
  cuda::wait_for_previous();
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kRowsABlock + threadIdx.x / 32;
  if (row >= rows) return;
  cuda::normalise_row(residual + row * residual_stride, delta == nullptr ? nullptr : delta + row * size, weight,
                      sum == nullptr ? nullptr : sum + row * size, normalised + row * size, static_cast<int>(size), eps,
                      static_cast<int>(threadIdx.x % 32));
}

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
  const bool is_by_warps = is_bf16 && size <= cuda::kMostWarpNorm && size % 8 == 0 && residual_stride % 8 == 0 && cuda::is_aligned(residual) &&
                           cuda::is_aligned(delta) && cuda::is_aligned(weight) && cuda::is_aligned(sum) && cuda::is_aligned(normalised);
  if (is_by_warps) {
    cuda::launch_early(add_rms_norm_rows_kernel, static_cast<unsigned>((rows + kRowsABlock - 1) / kRowsABlock), 32 * kRowsABlock, 0, stream,
                       static_cast<const __nv_bfloat16*>(residual), static_cast<const __nv_bfloat16*>(delta),
                       static_cast<const __nv_bfloat16*>(weight), static_cast<__nv_bfloat16*>(sum),
                       static_cast<__nv_bfloat16*>(normalised), rows, size, residual_stride, eps);
    return;
  }
  const auto run = is_bf16 ? launch<__nv_bfloat16> : launch<float>;
  run(residual, delta, weight, sum, normalised, rows, size, residual_stride, eps, stream);
}

}  // namespace facellm
