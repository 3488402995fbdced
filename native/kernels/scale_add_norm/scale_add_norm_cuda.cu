// A warp a row, which stays in its registers: what is read once and written once is all that takes time. Roundings as in
// scale_add_norm.h; mean and variance one after the other, in fp32.
#include "kernels/common/eights.cuh"
#include "kernels/scale_add_norm/scale_add_norm_cuda.h"

namespace facellm {
namespace {

using Bf16 = __nv_bfloat16;

constexpr int kRowsABlock = 4, kPieces = kMostScaleAddNorm / (8 * 32);

__global__ void __launch_bounds__(32 * kRowsABlock, 6)
    scale_add_norm_kernel(const Bf16* x, const Bf16* delta, const Bf16* scale, const Bf16* weight, const Bf16* bias, Bf16* sum,
                          Bf16* normalised, int64_t rows, int size, float eps) {
  cuda::let_next_start();
  cuda::wait_for_previous();
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kRowsABlock + threadIdx.x / 32;
  if (row >= rows) return;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int64_t begin = row * size;
  float own[kPieces][8];
  float total = 0.f;
#pragma unroll
  for (int i = 0; i < kPieces; ++i) {
    const int at = (i * 32 + lane) * 8;
    if (at >= size) continue;
    float added[8], scales[8];
    cuda::widen_eight(cuda::load_eight(x + begin + at), own[i]);
    cuda::widen_eight(cuda::load_eight(delta + begin + at), added);
    cuda::widen_eight(cuda::load_eight(scale + at), scales);
#pragma unroll
    for (int k = 0; k < 8; ++k) {
      own[i][k] = cuda::round_to<Bf16>(own[i][k] + cuda::round_to<Bf16>(__fmul_rn(added[k], scales[k])));
      total += own[i][k];
    }
    *reinterpret_cast<uint4*>(sum + begin + at) = cuda::narrow_eight(own[i]);
  }
  const float mean = cuda::warp_sum(total) / static_cast<float>(size);
  float squares = 0.f;
#pragma unroll
  for (int i = 0; i < kPieces; ++i) {
    if ((i * 32 + lane) * 8 >= size) continue;
#pragma unroll
    for (int k = 0; k < 8; ++k) squares = __fmaf_rn(own[i][k] - mean, own[i][k] - mean, squares);
  }
  const float factor = rsqrtf(cuda::warp_sum(squares) / static_cast<float>(size) + eps);
#pragma unroll
  for (int i = 0; i < kPieces; ++i) {
    const int at = (i * 32 + lane) * 8;
    if (at >= size) continue;
    float weights[8], biases[8];
    cuda::widen_eight(cuda::load_eight(weight + at), weights);
    cuda::widen_eight(cuda::load_eight(bias + at), biases);
#pragma unroll
    for (int k = 0; k < 8; ++k) own[i][k] = __fmaf_rn(__fmul_rn(own[i][k] - mean, factor), weights[k], biases[k]);
    *reinterpret_cast<uint4*>(normalised + begin + at) = cuda::narrow_eight(own[i]);
  }
}

}  // namespace

void scale_add_norm_cuda(const void* x, const void* delta, const void* scale, const void* weight, const void* bias, void* sum,
                         void* normalised, int64_t rows, int64_t size, float eps, cudaStream_t stream) {
  const auto in = [](const void* p) { return static_cast<const Bf16*>(p); };
  cuda::launch_early(scale_add_norm_kernel, static_cast<unsigned>((rows + kRowsABlock - 1) / kRowsABlock), 32 * kRowsABlock, 0, stream, in(x),
                     in(delta), in(scale), in(weight), in(bias), static_cast<Bf16*>(sum), static_cast<Bf16*>(normalised), rows,
                     static_cast<int>(size), eps);
}

}  // namespace facellm
