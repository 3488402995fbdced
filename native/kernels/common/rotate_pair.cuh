// A pair of a head turned by its angle: what rope_kv_append and the product that ends with it share. Roundings as in
// rope_kv_append_reference.cpp.
#pragma once

#include "kernels/common/cuda_common.cuh"

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

}  // namespace facellm::cuda
