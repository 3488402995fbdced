// A pair of a head turned by its angle: what rope_kv_append and the product that ends with it share. Roundings as in
// rope_kv_append_reference.cpp.
#pragma once

#include "kernels/common/eights.cuh"

namespace facellm::cuda {

struct Pair {
  float low, high;
};

// cos and sin of a token, at the pair's place in the first half and in the second. __fmul_rn keeps the compiler from fusing a
// product, unrounded, into the sum.
template <typename T>
__device__ __forceinline__ Pair rotate_pair(float low, float high, float low_cos, float low_sin, float high_cos, float high_sin) {
  return {round_to<T>(__fmul_rn(low, low_cos)) + round_to<T>(__fmul_rn(-high, low_sin)),
          round_to<T>(__fmul_rn(high, high_cos)) + round_to<T>(__fmul_rn(low, high_sin))};
}

// Eight pairs of bf16 by `turn`, which is given what rotate_pair() is. cos, sin: at the pairs' places in the first half.
template <typename Turn>
__device__ __forceinline__ void rotate_eights(uint4& low, uint4& high, const __nv_bfloat16* cos, const __nv_bfloat16* sin, int64_t half, Turn turn) {
  float lows[8], highs[8], low_cos[8], low_sin[8], high_cos[8], high_sin[8];
  widen_eight(low, lows);
  widen_eight(high, highs);
  widen_eight(load_eight(cos), low_cos);
  widen_eight(load_eight(sin), low_sin);
  widen_eight(load_eight(cos + half), high_cos);
  widen_eight(load_eight(sin + half), high_sin);
#pragma unroll
  for (int k = 0; k < 8; ++k) {
    const Pair pair = turn(lows[k], highs[k], low_cos[k], low_sin[k], high_cos[k], high_sin[k]);
    lows[k] = pair.low;
    highs[k] = pair.high;
  }
  low = narrow_eight(lows);
  high = narrow_eight(highs);
}

}  // namespace facellm::cuda
