// One block a (token, head); thread i turns the pair (i, i + E/2). Value heads are copied. A slot outside
// the pool is not written: the caller has planned them on the host, this guards memory.
// Roundings as in rope_kv_append_reference.cpp.
#include "kernels/common/cuda_common.cuh"
#include "kernels/rope_kv_append/rope_kv_append_cuda.h"

namespace facellm {
namespace {

template <typename T>
__global__ void rope_kv_append_kernel(const T* qkv, const T* cos, const T* sin, const int64_t* slots, T* q, T* keys,
                                      T* values, RopeKvAppendShape s) {
  cuda::let_next_start();
  cuda::wait_for_previous();
  const int64_t token = blockIdx.x, head = blockIdx.y;
  const int64_t half = s.head_dim / 2;
  const T* in = qkv + (token * (s.heads + 2 * s.kv_heads) + head) * s.head_dim;
  const bool is_query = head < s.heads, is_value = head >= s.heads + s.kv_heads;
  T* out;
  if (is_query) {
    out = q + (head * s.tokens + token) * s.head_dim;
  } else {
    const int64_t slot = slots[token];
    if (slot < 0 || slot >= s.slots) return;
    const int64_t kv_head = head - s.heads - (is_value ? s.kv_heads : 0);
    const PoolStrides strides = is_value ? s.values : s.keys;
    out = (is_value ? values : keys) + kv_head * strides.head + slot * strides.slot;
  }
  for (int64_t i = threadIdx.x; i < half; i += blockDim.x) {
    const float low = cuda::load(in + i), high = cuda::load(in + half + i);
    if (is_value) {
      cuda::store(out + i, low);
      cuda::store(out + half + i, high);
      continue;
    }
    const T* c = cos + token * s.head_dim;
    const T* n = sin + token * s.head_dim;
    // __fmul_rn keeps the compiler from fusing a product, unrounded, into the sum.
    const float low_cos = cuda::round_to<T>(__fmul_rn(low, cuda::load(c + i)));
    const float low_sin = cuda::round_to<T>(__fmul_rn(-high, cuda::load(n + i)));
    const float high_cos = cuda::round_to<T>(__fmul_rn(high, cuda::load(c + half + i)));
    const float high_sin = cuda::round_to<T>(__fmul_rn(low, cuda::load(n + half + i)));
    cuda::store(out + i, low_cos + low_sin);
    cuda::store(out + half + i, high_cos + high_sin);
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

}  // namespace

void rope_kv_append_cuda(const void* qkv, const void* cos, const void* sin, const int64_t* slots,
                         void* q, void* keys, void* values, const RopeKvAppendShape& shape,
                         bool is_bf16, cudaStream_t stream) {
  const auto run = is_bf16 ? launch<__nv_bfloat16> : launch<float>;
  run(qkv, cos, sin, slots, q, keys, values, shape, stream);
}

}  // namespace facellm
