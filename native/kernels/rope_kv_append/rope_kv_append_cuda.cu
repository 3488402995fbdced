// One block a (token, head); thread i turns the pair (i, i + E/2). Or, of bf16 where 16 bytes are aligned, one thread eight pairs, whosever
// they are. Value heads are copied. A slot outside the pool is not written: the caller has planned them on the host, this guards memory.
// Roundings as in rope_kv_append_reference.cpp.
#include "kernels/common/eights.cuh"
#include "kernels/common/rotate_pair.cuh"
#include "kernels/rope_kv_append/rope_kv_append_cuda.h"

namespace facellm {
namespace {

// Where a token's head goes, or null.
template <typename T>
__device__ __forceinline__ T* place_of(int64_t token, int64_t head, const int64_t* slots, T* q, T* keys, T* values, const RopeKvAppendShape& s) {
  if (head < s.heads) return q + (head * s.tokens + token) * s.head_dim;
  const int64_t slot = slots[token];
  if (slot < 0 || slot >= s.slots) return nullptr;
  const bool is_value = head >= s.heads + s.kv_heads;
  const PoolStrides strides = is_value ? s.values : s.keys;
  return (is_value ? values : keys) + (head - s.heads - (is_value ? s.kv_heads : 0)) * strides.head + slot * strides.slot;
}

__global__ void rope_kv_append_eights_kernel(const __nv_bfloat16* qkv, const __nv_bfloat16* cos, const __nv_bfloat16* sin,
                                             const int64_t* slots, __nv_bfloat16* q, __nv_bfloat16* keys, __nv_bfloat16* values,
                                             RopeKvAppendShape s) {
  cuda::let_next_start();
  cuda::wait_for_previous();
  const int64_t half = s.head_dim / 2, parts = half / 8, heads = s.heads + 2 * s.kv_heads;
  const int64_t item = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t token = item / parts / heads, head = item / parts % heads, i = item % parts * 8;
  if (token >= s.tokens) return;
  __nv_bfloat16* const out = place_of(token, head, slots, q, keys, values, s);
  if (out == nullptr) return;
  const __nv_bfloat16* const in = qkv + (token * heads + head) * s.head_dim + i;
  uint4 low = cuda::load_eight(in), high = cuda::load_eight(in + half);
  if (head < s.heads + s.kv_heads) {
    cuda::rotate_eights(low, high, cos + token * s.head_dim + i, sin + token * s.head_dim + i, half, cuda::rotate_pair<__nv_bfloat16>);
  }
  *reinterpret_cast<uint4*>(out + i) = low;
  *reinterpret_cast<uint4*>(out + half + i) = high;
}

template <typename T>
__global__ void rope_kv_append_kernel(const T* qkv, const T* cos, const T* sin, const int64_t* slots, T* q, T* keys,
                                      T* values, RopeKvAppendShape s) {
  cuda::let_next_start();
  cuda::wait_for_previous();
  const int64_t token = blockIdx.x, head = blockIdx.y;
  const int64_t half = s.head_dim / 2;
  const T* in = qkv + (token * (s.heads + 2 * s.kv_heads) + head) * s.head_dim;
  const bool is_value = head >= s.heads + s.kv_heads;
  T* const out = place_of(token, head, slots, q, keys, values, s);
  if (out == nullptr) return;
  for (int64_t i = threadIdx.x; i < half; i += blockDim.x) {
    const float low = cuda::load(in + i), high = cuda::load(in + half + i);
    if (is_value) {
      cuda::store(out + i, low);
      cuda::store(out + half + i, high);
      continue;
    }
    const T* c = cos + token * s.head_dim;
    const T* n = sin + token * s.head_dim;
    const auto pair = cuda::rotate_pair<T>(low, high, cuda::load(c + i), cuda::load(n + i), cuda::load(c + half + i),
                                           cuda::load(n + half + i));
    cuda::store(out + i, pair.low);
    cuda::store(out + half + i, pair.high);
  }
}

template <typename T>
void launch(const void* qkv, const void* cos, const void* sin, const int64_t* slots, void* q,
            void* keys, void* values, const RopeKvAppendShape& s, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(s.tokens),
                  static_cast<unsigned>(s.heads + 2 * s.kv_heads));
  const unsigned threads = s.head_dim <= 64 ? 32 : 64;
  cuda::launch_early(rope_kv_append_kernel<T>, grid, threads, 0, stream, static_cast<const T*>(qkv),
               static_cast<const T*>(cos), static_cast<const T*>(sin), slots, static_cast<T*>(q),
               static_cast<T*>(keys), static_cast<T*>(values), s);
}

bool has_eights(const void* qkv, const void* cos, const void* sin, const void* q, const void* keys, const void* values,
                const RopeKvAppendShape& s) {
  const auto is_whole = [](PoolStrides strides) { return strides.head % 8 == 0 && strides.slot % 8 == 0; };
  return s.head_dim % 16 == 0 && is_whole(s.keys) && is_whole(s.values) && cuda::is_aligned(qkv) && cuda::is_aligned(cos) &&
         cuda::is_aligned(sin) && cuda::is_aligned(q) && cuda::is_aligned(keys) && cuda::is_aligned(values);
}

}  // namespace

void rope_kv_append_cuda(const void* qkv, const void* cos, const void* sin, const int64_t* slots,
                         void* q, void* keys, void* values, const RopeKvAppendShape& shape,
                         bool is_bf16, cudaStream_t stream) {
  if (is_bf16 && has_eights(qkv, cos, sin, q, keys, values, shape)) {
    constexpr int kThreads = 128;
    using Bf16 = __nv_bfloat16;
    const int64_t items = shape.tokens * (shape.heads + 2 * shape.kv_heads) * (shape.head_dim / 16);
    cuda::launch_early(rope_kv_append_eights_kernel, static_cast<unsigned>((items + kThreads - 1) / kThreads), kThreads, 0, stream,
                       static_cast<const Bf16*>(qkv), static_cast<const Bf16*>(cos), static_cast<const Bf16*>(sin), slots,
                       static_cast<Bf16*>(q), static_cast<Bf16*>(keys), static_cast<Bf16*>(values), shape);
    return;
  }
  const auto run = is_bf16 ? launch<__nv_bfloat16> : launch<float>;
  run(qkv, cos, sin, slots, q, keys, values, shape, stream);
}

}  // namespace facellm
