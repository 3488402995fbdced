// RMSNorm of a row by one warp: what add_rms_norm and the products that begin with it share, so that both give the same bits. Roundings
// as in add_rms_norm_reference.cpp.
#pragma once

#include "kernels/common/eights.cuh"

namespace facellm::cuda {

constexpr int kNormPieces = 4;                             // of eight numbers, a lane's
constexpr int kMostWarpNorm = kNormPieces * 8 * 32;        // numbers of a row

// One row of `size` numbers, a multiple of 8 and at most kMostWarpNorm, all pointers aligned to 16 bytes: its sum with delta
// (null: none) to `sum` (null: nowhere), normalised to `out`. All lanes of a warp come.
__device__ __forceinline__ void normalise_row(const __nv_bfloat16* residual, const __nv_bfloat16* delta, const __nv_bfloat16* weight,
                                              __nv_bfloat16* sum, __nv_bfloat16* out, int size, float eps, int lane) {
  float x[kNormPieces][8];
  float squares = 0.f;
#pragma unroll
  for (int i = 0; i < kNormPieces; ++i) {
    const int at = (i * 32 + lane) * 8;
    if (at >= size) continue;
    widen_eight(load_eight(residual + at), x[i]);
    if (delta != nullptr) {
      float added[8];
      widen_eight(load_eight(delta + at), added);
#pragma unroll
      for (int k = 0; k < 8; ++k) x[i][k] = round_to<__nv_bfloat16>(x[i][k] + added[k]);
      if (sum != nullptr) *reinterpret_cast<uint4*>(sum + at) = narrow_eight(x[i]);
    }
#pragma unroll
    for (int k = 0; k < 8; ++k) squares = __fmaf_rn(x[i][k], x[i][k], squares);
  }
  const float scale = rsqrtf(warp_sum(squares) / static_cast<float>(size) + eps);
#pragma unroll
  for (int i = 0; i < kNormPieces; ++i) {
    const int at = (i * 32 + lane) * 8;
    if (at >= size) continue;
    float weights[8];
    widen_eight(load_eight(weight + at), weights);
#pragma unroll
    for (int k = 0; k < 8; ++k) x[i][k] = __fmul_rn(round_to<__nv_bfloat16>(__fmul_rn(x[i][k], scale)), weights[k]);
    *reinterpret_cast<uint4*>(out + at) = narrow_eight(x[i]);
  }
}

}  // namespace facellm::cuda
