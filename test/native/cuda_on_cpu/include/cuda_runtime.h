// CUDA C++'s words for a kernel that the host's compiler reads: qualifiers, built-in variables, warp functions, atomics,
// launches. What a kernel uses and is not here yet is added here.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

#include "../cuda_on_cpu.h"
#include "../device.h"
#include "cuda_runtime_api.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(bytes) __attribute__((aligned(bytes)))
// Thread-local, as one thread of the host runs all threads of a launch: so no other static of the program is among it.
#define __shared__ static __thread

// threadIdx and the like: `.x` is a number, and no memory is read for it.
namespace cuda_on_cpu {
template <auto kGet>
struct Builtin {
  struct {
    __forceinline__ operator unsigned() const { return kGet().x; }
  } x;
  struct {
    __forceinline__ operator unsigned() const { return kGet().y; }
  } y;
  struct {
    __forceinline__ operator unsigned() const { return kGet().z; }
  } z;
};
}  // namespace cuda_on_cpu
inline constexpr cuda_on_cpu::Builtin<&cuda_on_cpu::thread_index> threadIdx{};
inline constexpr cuda_on_cpu::Builtin<&cuda_on_cpu::block_index> blockIdx{};
inline constexpr cuda_on_cpu::Builtin<&cuda_on_cpu::block_size> blockDim{};
inline constexpr cuda_on_cpu::Builtin<&cuda_on_cpu::grid_size> gridDim{};
constexpr int warpSize = 32;

struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
__forceinline__ float2 make_float2(float x, float y) { return {x, y}; }
__forceinline__ float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
__forceinline__ uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
__forceinline__ uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

using std::max;
using std::min;

// Own code of the emulation within a kernel: its loads and stores are not the kernel's.
#define CUDA_ON_CPU_FUNCTION inline __attribute__((no_sanitize("thread", "alignment")))
#define CUDA_ON_CPU_SITE cuda_on_cpu::Site site = cuda_on_cpu::Site::current()

CUDA_ON_CPU_FUNCTION void __syncthreads(CUDA_ON_CPU_SITE) { cuda_on_cpu::sync_block(site); }
CUDA_ON_CPU_FUNCTION void __syncwarp(unsigned mask = 0xffffffffu, CUDA_ON_CPU_SITE) {
  cuda_on_cpu::exchange(mask, nullptr, 0, site);
}
inline void __threadfence() {}
inline void __threadfence_block() {}

namespace cuda_on_cpu {
// `from(lane)`: the lane whose value this one gets.
template <typename T, typename From>
CUDA_ON_CPU_FUNCTION T shuffle(unsigned mask, T value, From from, Site site) {
  static_assert(sizeof(T) <= 8, "CUDA has no shuffle of this size");
  const unsigned char* const all = exchange(mask, &value, sizeof value, site);
  const int source = from(lane());
  require_lane(mask, source, site);
  std::memcpy(&value, all + kMostLaneBytes * source, sizeof value);
  return value;
}
// In a segment of `width` lanes, the own lane where `source` lies outside of it.
constexpr int within(int lane, int source, int width) {
  return source >= lane / width * width && source < (lane / width + 1) * width ? source : lane;
}
}  // namespace cuda_on_cpu

template <typename T>
CUDA_ON_CPU_FUNCTION T __shfl_sync(unsigned mask, T x, int source, int width = 32, CUDA_ON_CPU_SITE) {
  return cuda_on_cpu::shuffle(mask, x, [=](int l) { return l / width * width + (source & (width - 1)); }, site);
}
template <typename T>
CUDA_ON_CPU_FUNCTION T __shfl_xor_sync(unsigned mask, T x, int bits, int width = 32, CUDA_ON_CPU_SITE) {
  // Lower segments may be read, later ones give the own value (CUDA C++ Programming Guide, warp shuffle functions).
  return cuda_on_cpu::shuffle(mask, x, [=](int l) { return (l ^ bits) < (l / width + 1) * width ? l ^ bits : l; }, site);
}
template <typename T>
CUDA_ON_CPU_FUNCTION T __shfl_down_sync(unsigned mask, T x, unsigned by, int width = 32, CUDA_ON_CPU_SITE) {
  return cuda_on_cpu::shuffle(
      mask, x, [=](int l) { return cuda_on_cpu::within(l, l + static_cast<int>(by), width); }, site);
}
template <typename T>
CUDA_ON_CPU_FUNCTION T __shfl_up_sync(unsigned mask, T x, unsigned by, int width = 32, CUDA_ON_CPU_SITE) {
  return cuda_on_cpu::shuffle(
      mask, x, [=](int l) { return cuda_on_cpu::within(l, l - static_cast<int>(by), width); }, site);
}
CUDA_ON_CPU_FUNCTION unsigned __ballot_sync(unsigned mask, int predicate, CUDA_ON_CPU_SITE) {
  const unsigned char own = predicate != 0;
  const unsigned char* const all = cuda_on_cpu::exchange(mask, &own, 1, site);
  unsigned bits = 0;
  for (int l = 0; l < 32; ++l) bits |= (all[cuda_on_cpu::kMostLaneBytes * l] == 1 ? 1u : 0u) << l;
  return bits;
}
CUDA_ON_CPU_FUNCTION int __any_sync(unsigned mask, int predicate, CUDA_ON_CPU_SITE) {
  return __ballot_sync(mask, predicate, site) != 0;
}
CUDA_ON_CPU_FUNCTION int __all_sync(unsigned mask, int predicate, CUDA_ON_CPU_SITE) {
  return __ballot_sync(mask, !predicate, site) == 0;
}

template <typename T>
__forceinline__ T __ldg(const T* p) { return *p; }

template <typename T>
__forceinline__ T atomicAdd(T* p, std::type_identity_t<T> x) {
  return cuda_on_cpu::atomic_update<T>(p, x, [](T old, T y) -> T { return old + y; });
}
template <typename T>
__forceinline__ T atomicMax(T* p, std::type_identity_t<T> x) {
  return cuda_on_cpu::atomic_update<T>(p, x, [](T old, T y) -> T { return old > y ? old : y; });
}
template <typename T>
__forceinline__ T atomicExch(T* p, std::type_identity_t<T> x) {
  return cuda_on_cpu::atomic_update<T>(p, x, [](T, T y) -> T { return y; });
}

namespace cuda_on_cpu {
// What the compiler cannot look into, and so cannot fuse into a sum.
__forceinline__ float opaque(float x) {
#if defined(__x86_64__)
  __asm__("" : "+x"(x));
#endif
  return x;
}
}  // namespace cuda_on_cpu
// rsqrtf has two roundings here; the GPU's is within two units of the true value, expf too.
__forceinline__ float __fmul_rn(float a, float b) { return cuda_on_cpu::opaque(a * b); }
__forceinline__ float __fadd_rn(float a, float b) { return cuda_on_cpu::opaque(a + b); }
__forceinline__ float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
__forceinline__ float __fdividef(float a, float b) { return a / b; }
__forceinline__ float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
__forceinline__ float __expf(float x) { return std::exp(x); }
__forceinline__ float __logf(float x) { return std::log(x); }
__forceinline__ int __float_as_int(float x) { return __builtin_bit_cast(int, x); }
__forceinline__ float __int_as_float(int x) { return __builtin_bit_cast(float, x); }
// Byte i of the result: that of the eight in x and y which nibble i of the selector names.
__forceinline__ unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
  const uint64_t both = static_cast<uint64_t>(y) << 32 | x;
  unsigned out = 0;
  for (int i = 0; i < 4; ++i) out |= static_cast<unsigned>(both >> (8 * (selector >> (4 * i) & 7u)) & 0xffu) << (8 * i);
  return out;
}
__forceinline__ int __popc(unsigned x) { return __builtin_popcount(x); }
__forceinline__ int __ffs(int x) { return __builtin_ffs(x); }
__forceinline__ int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }

struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
};

namespace cuda_on_cpu {
// A structure of nothing but pointers, in an array `pointers`.
template <typename T>
concept HoldsPointers = std::is_class_v<T> && requires(T x) { x.pointers[0]; } && std::is_pointer_v<std::remove_extent_t<decltype(T::pointers)>> &&
                        sizeof(T::pointers) == sizeof(T);

template <typename T>
T argument(T value) {
  if constexpr (std::is_pointer_v<T>) {
    return reinterpret_cast<T>(const_cast<void*>(translated(value)));
  } else {
    if constexpr (HoldsPointers<T>) {
      for (auto& pointer : value.pointers) pointer = argument(pointer);
    }
    return value;
  }
}
template <typename T>
void tell(const T& value, std::vector<Argument>& to) {
  if constexpr (HoldsPointers<T>) {
    for (const auto& pointer : value.pointers) tell(pointer, to);
  } else {
    to.push_back({&value, sizeof value, std::is_pointer_v<T>, std::is_const_v<std::remove_pointer_t<T>>});
  }
}
}  // namespace cuda_on_cpu

template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  struct Call {
    void (*kernel)(Parameters...);
    std::tuple<Parameters...> values;
  };
  const auto start = [kernel, config = *config, given = std::tuple<Parameters...>{std::forward<Arguments>(arguments)...}]() -> int {
    Call call{kernel, std::apply([](const auto&... value) {
                return std::tuple<Parameters...>{cuda_on_cpu::argument<Parameters>(value)...};
              }, given)};
    std::vector<cuda_on_cpu::Argument> told;
    std::apply([&](const auto&... value) { (cuda_on_cpu::tell(value, told), ...); }, given);
    const auto run_thread = [](void* data) {
      auto& own = *static_cast<Call*>(data);
      std::apply(own.kernel, own.values);
    };
    return cuda_on_cpu::run({reinterpret_cast<const void*>(kernel), run_thread, &call, sizeof call, config.gridDim,
                             config.blockDim, config.dynamicSmemBytes, config.stream, told.data(), told.size()});
  };
  const auto& take_over = cuda_on_cpu::settings().take_over;
  if (take_over && take_over(start)) return cudaSuccess;
  return static_cast<cudaError_t>(start());
}

template <typename... Parameters>
cudaError_t cudaFuncSetAttribute(void (*kernel)(Parameters...), cudaFuncAttribute, int value) {
  return static_cast<cudaError_t>(cuda_on_cpu::allow_dynamic_shared(reinterpret_cast<const void*>(kernel), value));
}
