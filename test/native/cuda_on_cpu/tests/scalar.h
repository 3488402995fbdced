// Numbers of both dtypes for tests: values, roundings, bits.
#pragma once

#include <cuda_bf16.h>

#include <random>

#include "cuda_on_cpu.h"

namespace facellm {

template <typename T>
constexpr bool is_bf16 = std::is_same_v<T, __nv_bfloat16>;

inline float wide(float x) { return x; }
inline float wide(__nv_bfloat16 x) { return __bfloat162float(x); }
template <typename T>
T narrow(float x) {
  if constexpr (is_bf16<T>) {
    return __float2bfloat16_rn(x);
  } else {
    return x;
  }
}
// One rounding to the dtype.
template <typename T>
float rounded(float x) { return wide(narrow<T>(x)); }

inline uint32_t bits(float x) { return __builtin_bit_cast(uint32_t, x); }
inline uint32_t bits(__nv_bfloat16 x) { return x.bits; }

// Hidden states as models have them: of order one, and some a hundred times as large.
template <typename T>
cuda_on_cpu::Buffer<T> noise(int64_t count, const char* name) {
  static std::mt19937 generator(1);
  std::normal_distribution<float> normal;
  cuda_on_cpu::Buffer<T> made(static_cast<size_t>(count), name);
  int64_t i = 0;
  for (auto& x : made) x = narrow<T>(normal(generator) * (++i % 97 == 17 ? 100.f : 1.f));
  return made;
}

}  // namespace facellm
