// Memory-bound: one thread an element, or eight of bf16 where 16 bytes are aligned. A tile's patches lie as they will, but for the class
// token before them.
#include "kernels/common/eights.cuh"
#include "kernels/embed_patches/embed_patches_cuda.h"

namespace facellm {
namespace {

// `size`: numbers of the class token, `all`: of a tile with it.
template <typename T>
__global__ void embed_patches_kernel(const T* patches, const T* class_token, const T* positions, T* out, int64_t size, int64_t all) {
  cuda::let_next_start();
  cuda::wait_for_previous();
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= all) return;
  const int64_t tile = blockIdx.y;
  const T* const from = i < size ? class_token + i : patches + tile * (all - size) + i - size;
  cuda::store(out + tile * all + i, cuda::load(from) + cuda::load(positions + i));
}

__global__ void embed_patches_eights_kernel(const __nv_bfloat16* patches, const __nv_bfloat16* class_token, const __nv_bfloat16* positions,
                                            __nv_bfloat16* out, int64_t size, int64_t all) {
  cuda::let_next_start();
  cuda::wait_for_previous();
  const int64_t i = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * 8;
  if (i >= all) return;
  const int64_t tile = blockIdx.y;
  const __nv_bfloat16* const from = i < size ? class_token + i : patches + tile * (all - size) + i - size;
  float x[8], added[8];
  cuda::widen_eight(cuda::load_eight(from), x);
  cuda::widen_eight(cuda::load_eight(positions + i), added);
#pragma unroll
  for (int k = 0; k < 8; ++k) x[k] += added[k];
  *reinterpret_cast<uint4*>(out + tile * all + i) = cuda::narrow_eight(x);
}

template <typename T>
void launch(const void* patches, const void* class_token, const void* positions, void* out, int64_t tiles, int64_t count, int64_t size,
            cudaStream_t stream) {
  constexpr int kThreads = 256;
  constexpr int64_t kMostTiles = 65535;  // of a grid's second dimension
  const bool has_eights = sizeof(T) == 2 && size % 8 == 0 && cuda::is_aligned(patches) && cuda::is_aligned(class_token) &&
                          cuda::is_aligned(positions) && cuda::is_aligned(out);
  const int64_t all = (count + 1) * size, each = has_eights ? 8 : 1;
  const auto columns = static_cast<unsigned>((all + kThreads * each - 1) / (kThreads * each));
  const auto in = [](const void* p) { return static_cast<const T*>(p); };
  for (int64_t begin = 0; begin < tiles; begin += kMostTiles) {
    const int64_t some = tiles - begin < kMostTiles ? tiles - begin : kMostTiles;
    const dim3 grid(columns, static_cast<unsigned>(some));
    const T* const from = in(patches) + begin * count * size;
    T* const to = static_cast<T*>(out) + begin * all;
    if constexpr (sizeof(T) == 2) {
      if (has_eights) {
        cuda::launch_early(embed_patches_eights_kernel, grid, kThreads, 0, stream, from, in(class_token), in(positions), to, size, all);
        continue;
      }
    }
    cuda::launch_early(embed_patches_kernel<T>, grid, kThreads, 0, stream, from, in(class_token), in(positions), to, size, all);
  }
}

}  // namespace

void embed_patches_cuda(const void* patches, const void* class_token, const void* positions, void* out, int64_t tiles, int64_t count,
                        int64_t size, bool is_bf16, cudaStream_t stream) {
  const auto run = is_bf16 ? launch<__nv_bfloat16> : launch<float>;
  run(patches, class_token, positions, out, tiles, count, size, stream);
}

}  // namespace facellm
