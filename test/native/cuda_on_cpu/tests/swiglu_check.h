// swiglu_cuda.cu's numbers by a scalar reference: each documented rounding once.
#pragma once

#include <cmath>

#include "comparison.h"

namespace facellm {

// `launcher`: swiglu_cuda, or another that claims to do the same.
template <typename T, typename Launcher>
Comparison check_swiglu(Launcher launcher, int64_t rows, int64_t size) {
  auto gate_up = noise<T>(rows * 2 * size, "gate_up");
  cuda_on_cpu::Buffer<T> out(rows * size, "out");
  launcher(gate_up.data(), out.data(), rows, size, is_bf16<T>, nullptr);
  Comparison comparison;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < size; ++i) {
      const float gate = wide(gate_up[row * 2 * size + i]), up = wide(gate_up[row * 2 * size + size + i]);
      const float silu = rounded<T>(gate / (1.f + expf(-gate)));
      comparison.add(out[row * size + i], narrow<T>(silu * up), rows, "x", size, "row", row, "element", i);
    }
  }
  return comparison;
}

// One thread an element, 256 a block: beside a warp and a block.
template <typename Launcher>
Comparison check_swiglu_shapes(Launcher launcher) {
  Comparison all;
  for (const int64_t size : {1, 8, 31, 33, 123, 255, 256, 257, 513, 2056}) {
    all.add(check_swiglu<float>(launcher, 3, size));
    all.add(check_swiglu<__nv_bfloat16>(launcher, 3, size));
  }
  return all;
}

}  // namespace facellm
