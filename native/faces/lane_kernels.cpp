// One text of each, compiled for registers of 16, 8 and 4 numbers. Its vectors are the compilers' own (GCC, Clang), its functions
// inlined into three that name the instructions they may use: the unit itself is compiled as all others are.
#include "faces/lane_kernels.h"

#include <utility>

namespace facellm {
namespace {

#define LANE_LAMBDA __attribute__((always_inline))
#define LANE_INLINE inline LANE_LAMBDA

template <int lanes>
struct Lanes {
  typedef float Floats __attribute__((vector_size(4 * lanes)));
  typedef uint8_t Bytes __attribute__((vector_size(lanes)));
};

// From anywhere and to anywhere: nothing is aligned to a vector.
template <typename Vector, typename Number>
LANE_INLINE void load(Vector& vector, const Number* numbers) {
  __builtin_memcpy(&vector, numbers, sizeof vector);
}
template <typename Vector>
LANE_INLINE void store(float* numbers, const Vector& vector) {
  __builtin_memcpy(numbers, &vector, sizeof vector);
}

// `columns` vectors of channels of each of some pixels: sum i is of pixel i / columns. Places are constants, by which the compilers
// keep the sums in registers.
template <int lanes, size_t columns, size_t... i>
LANE_INLINE void multiply_tile(const RowProduct& p, int64_t pixel, int64_t channel, std::index_sequence<i...>) {
  using Floats = typename Lanes<lanes>::Floats;
  Floats sums[sizeof...(i)];
  (load(sums[i], p.bias + channel + static_cast<int64_t>(i % columns) * lanes), ...);
  const float* weight = p.weight + channel;
  for (int64_t s = 0; s < p.segments; ++s) {
    const float* x = p.x + pixel * p.pixel_stride + s * p.segment_stride;
    for (int64_t k = 0; k < p.inner; ++k, ++x, weight += p.channels) {
      Floats w[2];
      load(w[0], weight), load(w[columns - 1], weight + static_cast<int64_t>(columns - 1) * lanes);
      ((sums[i] += x[static_cast<int64_t>(i / columns) * p.pixel_stride] * w[i % columns]), ...);
    }
  }
  const auto finish = [&](Floats& sum, int64_t of, int64_t at) LANE_LAMBDA {
    if (p.skip != nullptr && at < p.skip_channels) {
      Floats skip;
      load(skip, p.skip + of * p.skip_channels + at);
      sum += skip;
    }
    if (p.is_rectified) sum = sum > 0 ? sum : Floats{};
    store(p.out + of * p.channels + at, sum);
  };
  (finish(sums[i], pixel + static_cast<int64_t>(i / columns), channel + static_cast<int64_t>(i % columns) * lanes), ...);
}

template <int lanes, int rows>
LANE_INLINE void multiply_pixels(const RowProduct& p, int64_t pixel) {
  int64_t channel = 0;
  for (; channel + 2 * lanes <= p.channels; channel += 2 * lanes) {
    multiply_tile<lanes, 2>(p, pixel, channel, std::make_index_sequence<2 * rows>());
  }
  for (; channel < p.channels; channel += lanes) multiply_tile<lanes, 1>(p, pixel, channel, std::make_index_sequence<rows>());
}

template <int lanes>
LANE_INLINE void multiply(const RowProduct& p) {
  // With two vectors of channels as many sums as hide an addition's time and fit sixteen registers.
  constexpr int kRows = 6;
  int64_t pixel = 0;
  for (; pixel + kRows <= p.pixels; pixel += kRows) multiply_pixels<lanes, kRows>(p, pixel);
  for (; pixel + 2 <= p.pixels; pixel += 2) multiply_pixels<lanes, 2>(p, pixel);
  for (; pixel < p.pixels; ++pixel) multiply_pixels<lanes, 1>(p, pixel);
}

template <int lanes, size_t... k>
LANE_INLINE void convolve(const RowDepthwise& p, std::index_sequence<k...>) {
  using Floats = typename Lanes<lanes>::Floats;
  const int64_t channels = p.channels, step = p.stride * channels, down = p.row_stride;
  for (int64_t channel = 0; channel < channels; channel += lanes) {
    Floats weights[sizeof...(k)], bias;
    (load(weights[k], p.weight + static_cast<int64_t>(k) * channels + channel), ...);
    load(bias, p.bias + channel);
    const float* x = p.x + channel;
    float* out = p.out + channel;
    for (int64_t pixel = 0; pixel < p.pixels; ++pixel, x += step, out += channels) {
      Floats sum = bias, values[sizeof...(k)];
      (load(values[k], x + static_cast<int64_t>(k / 3) * down + static_cast<int64_t>(k % 3) * channels), ...);
      ((sum += weights[k] * values[k]), ...);
      store(out, sum);
    }
  }
}

template <int lanes>
LANE_INLINE void accumulate(float* sums, const uint8_t* values, float weight, int64_t count) {
  typename Lanes<lanes>::Floats sum;
  typename Lanes<lanes>::Bytes bytes;
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    load(bytes, values + i), load(sum, sums + i);
    sum += weight * __builtin_convertvector(bytes, decltype(sum));
    store(sums + i, sum);
  }
  for (; i < count; ++i) sums[i] += weight * static_cast<float>(values[i]);
}

#define LANE_KERNELS(name, lanes, target)                                                          \
  target void multiply_##name(const RowProduct& p) { multiply<lanes>(p); }                                 \
  target void convolve_##name(const RowDepthwise& p) { convolve<lanes>(p, std::make_index_sequence<9>()); }                               \
  target void accumulate_##name(float* sums, const uint8_t* values, float weight, int64_t count) {         \
    accumulate<lanes>(sums, values, weight, count);                                                        \
  }                                                                                                        \
  constexpr LaneKernels k##name{multiply_##name, convolve_##name, accumulate_##name};

LANE_KERNELS(Any, 4, )
#if defined(__x86_64__)
LANE_KERNELS(Avx2, 8, __attribute__((target("avx2,fma"))))
LANE_KERNELS(Avx512, 16, __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma"))))
#endif

}  // namespace

const LaneKernels& lane_kernels_for(CpuLevel level) {
#if defined(__x86_64__)
  if (level >= CpuLevel::kAvx512) return kAvx512;
  if (level >= CpuLevel::kAvx2) return kAvx2;
#endif
  return kAny;
}

const LaneKernels& lane_kernels() {
  static const auto& kernels = lane_kernels_for(cpu_features().level);
  return kernels;
}

}  // namespace facellm
