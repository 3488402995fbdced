// One thread a pair (i, i + E/2) of a head, or eight pairs of bf16 where 16 bytes are aligned. Roundings as in rope_backward_reference().
#include "kernels/common/eights.cuh"
#include "kernels/common/rotate_pair.cuh"
#include "kernels/rope_kv_append/rope_kv_append_cuda.h"

namespace facellm {
namespace {

constexpr int kThreads = 128;

template <typename T>
__device__ __forceinline__ const T* head_of(const T* q, const T* keys, const T* values, int64_t token, int64_t head, const RopeBackwardShape& s) {
  if (head < s.heads) return q + head * s.q.head + token * s.q.slot;
  const int64_t k = head - s.heads;
  return k < s.kv_heads ? keys + k * s.keys.head + token * s.keys.slot : values + (k - s.kv_heads) * s.values.head + token * s.values.slot;
}

// As rotate_pair() with the sines of the other half, negative.
template <typename T>
__device__ __forceinline__ cuda::Pair rotate_back(float low, float high, float low_cos, float low_sin, float high_cos, float high_sin) {
  return cuda::rotate_pair<T>(low, high, low_cos, -high_sin, high_cos, -low_sin);
}

__global__ void rope_backward_eights_kernel(const __nv_bfloat16* q, const __nv_bfloat16* keys, const __nv_bfloat16* values,
                                            const __nv_bfloat16* cos, const __nv_bfloat16* sin, __nv_bfloat16* out, RopeBackwardShape s) {
  cuda::let_next_start();
  cuda::wait_for_previous();
  const int64_t half = s.head_dim / 2, parts = half / 8, heads = s.heads + 2 * s.kv_heads;
  const int64_t item = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t token = item / parts / heads, head = item / parts % heads, i = item % parts * 8;
  if (token >= s.tokens) return;
  const __nv_bfloat16* const in = head_of(q, keys, values, token, head, s) + i;
  uint4 low = cuda::load_eight(in), high = cuda::load_eight(in + half);
  if (head < s.heads + s.kv_heads) {
    cuda::rotate_eights(low, high, cos + token * s.head_dim + i, sin + token * s.head_dim + i, half, rotate_back<__nv_bfloat16>);
  }
  __nv_bfloat16* const to = out + (token * heads + head) * s.head_dim + i;
  *reinterpret_cast<uint4*>(to) = low;
  *reinterpret_cast<uint4*>(to + half) = high;
}

template <typename T>
__global__ void rope_backward_kernel(const T* q, const T* keys, const T* values, const T* cos, const T* sin, T* out, RopeBackwardShape s) {
  cuda::let_next_start();
  cuda::wait_for_previous();
  const int64_t half = s.head_dim / 2, heads = s.heads + 2 * s.kv_heads;
  const int64_t item = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t token = item / half / heads, head = item / half % heads, i = item % half;
  if (token >= s.tokens) return;
  const T* const in = head_of(q, keys, values, token, head, s);
  T* const to = out + (token * heads + head) * s.head_dim;
  float low = cuda::load(in + i), high = cuda::load(in + half + i);
  if (head < s.heads + s.kv_heads) {
    const T* const c = cos + token * s.head_dim;
    const T* const n = sin + token * s.head_dim;
    const auto pair =
        rotate_back<T>(low, high, cuda::load(c + i), cuda::load(n + i), cuda::load(c + half + i), cuda::load(n + half + i));
    low = pair.low;
    high = pair.high;
  }
  cuda::store(to + i, low);
  cuda::store(to + half + i, high);
}

bool has_eights(const void* q, const void* keys, const void* values, const void* cos, const void* sin, const void* out,
                const RopeBackwardShape& s) {
  const auto is_whole = [](PoolStrides strides) { return strides.head % 8 == 0 && strides.slot % 8 == 0; };
  return s.head_dim % 16 == 0 && is_whole(s.q) && is_whole(s.keys) && is_whole(s.values) && cuda::is_aligned(q) && cuda::is_aligned(keys) &&
         cuda::is_aligned(values) && cuda::is_aligned(cos) && cuda::is_aligned(sin) && cuda::is_aligned(out);
}

template <typename T>
void launch(void (*kernel)(const T*, const T*, const T*, const T*, const T*, T*, RopeBackwardShape), int64_t pairs_each, const void* q,
            const void* keys, const void* values, const void* cos, const void* sin, void* out, const RopeBackwardShape& s,
            cudaStream_t stream) {
  const int64_t items = s.tokens * (s.heads + 2 * s.kv_heads) * (s.head_dim / 2) / pairs_each;
  cuda::launch_early(kernel, static_cast<unsigned>((items + kThreads - 1) / kThreads), kThreads, 0, stream, static_cast<const T*>(q),
                     static_cast<const T*>(keys), static_cast<const T*>(values), static_cast<const T*>(cos), static_cast<const T*>(sin),
                     static_cast<T*>(out), s);
}

}  // namespace

void rope_backward_cuda(const void* q, const void* keys, const void* values, const void* cos, const void* sin, void* out,
                        const RopeBackwardShape& shape, bool is_bf16, cudaStream_t stream) {
  if (!is_bf16) return launch<float>(rope_backward_kernel<float>, 1, q, keys, values, cos, sin, out, shape, stream);
  const bool is_by_eights = has_eights(q, keys, values, cos, sin, out, shape);
  const auto kernel = is_by_eights ? rope_backward_eights_kernel : rope_backward_kernel<__nv_bfloat16>;
  launch<__nv_bfloat16>(kernel, is_by_eights ? 8 : 1, q, keys, values, cos, sin, out, shape, stream);
}

}  // namespace facellm
