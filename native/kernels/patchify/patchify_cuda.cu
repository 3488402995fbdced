// A block has some patches beside each other: their lines come to shared memory as they lie in the picture, and leave it in the order of
// the rows, each number normalised on its way. So both sides are read and written 16 bytes at a time, where they are aligned, though
// a patch's line is of 14 bytes.
#include "kernels/common/eights.cuh"
#include "kernels/patchify/patchify_cuda.h"

namespace facellm {
namespace {

constexpr int kThreads = 160;      // of 8 patches of 14: two loads and four stores of 16 bytes each
constexpr int kMostPatches = 8;

struct Blocks {
  int side, patch, patches, groups;  // patches of a line, pixels of a patch's, patches of a block, blocks of a line of patches
};

__device__ __forceinline__ void store_all(float* p, const float (&x)[1]) { *p = x[0]; }
__device__ __forceinline__ void store_all(__nv_bfloat16* p, const float (&x)[1]) { cuda::store(p, x[0]); }
__device__ __forceinline__ void store_all(float* p, const float (&x)[4]) { *reinterpret_cast<float4*>(p) = make_float4(x[0], x[1], x[2], x[3]); }
__device__ __forceinline__ void store_all(__nv_bfloat16* p, const float (&x)[8]) { *reinterpret_cast<uint4*>(p) = cuda::narrow_eight(x); }

// Piece: what is read at a time; kEach: numbers that are written at a time.
template <typename T, typename Piece, int kEach>
__global__ void patchify_kernel(const uint8_t* tiles, T* out, Blocks b, ChannelScale scale) {
  cuda::let_next_start();
  cuda::wait_for_previous();
  uint8_t* const pixels = cuda::dynamic_shared<uint8_t>();  // [3 * patch, width]
  constexpr int kPiece = sizeof(Piece);
  const int patch = b.patch, size = b.side * patch, lines = 3 * patch, row = lines * patch;
  const int64_t strip = blockIdx.x / b.groups;  // a line of patches of a tile
  const int first = static_cast<int>(blockIdx.x % b.groups) * b.patches;
  const int patches = b.side - first < b.patches ? b.side - first : b.patches;
  const int width = patches * patch, pieces = width / kPiece;
  const int64_t tile = strip / b.side, top = strip % b.side * patch;
  const uint8_t* const from = tiles + (tile * 3 * size + top) * size + first * patch;
  for (int i = static_cast<int>(threadIdx.x); i < lines * pieces; i += kThreads) {
    const int line = i / pieces, at = i % pieces * kPiece;
    const int64_t y = static_cast<int64_t>(line / patch) * size + line % patch;
    *reinterpret_cast<Piece*>(pixels + line * width + at) = *reinterpret_cast<const Piece*>(from + y * size + at);
  }
  __syncthreads();
  T* const to = out + (strip * b.side + first) * row;
  for (int i = static_cast<int>(threadIdx.x) * kEach; i < patches * row; i += kThreads * kEach) {
    int begin = i / row * patch, line = i % row / patch, x = i % patch;
    float values[kEach];
#pragma unroll
    for (int k = 0; k < kEach; ++k) {
      // Chosen, not looked up: an argument that is indexed would be copied to local memory.
      const float mean = line < patch ? scale.mean[0] : line < 2 * patch ? scale.mean[1] : scale.mean[2];
      const float std = line < patch ? scale.std[0] : line < 2 * patch ? scale.std[1] : scale.std[2];
      values[k] = (static_cast<float>(pixels[line * width + begin + x]) - mean) / std;
      if (++x < patch) continue;
      x = 0;
      if (++line < lines) continue;
      line = 0;
      begin += patch;
    }
    store_all(to + i, values);
  }
}

template <typename T>
void launch(const uint8_t* tiles, void* out, const PatchifyShape& shape, const ChannelScale& scale, cudaStream_t stream) {
  constexpr int kEach = 16 / sizeof(T);
  const int64_t row = 3 * shape.patch * shape.patch, size = shape.side * shape.patch;
  int64_t patches = shape.side < kMostPatches ? shape.side : kMostPatches;
  while (patches > 1 && patches * row > kPatchifySharedBytes) --patches;
  const int64_t groups = (shape.side + patches - 1) / patches;
  const Blocks blocks{static_cast<int>(shape.side), static_cast<int>(shape.patch), static_cast<int>(patches), static_cast<int>(groups)};
  // Each block's and each line's begin, and so each end.
  const bool reads_wide = cuda::is_aligned(tiles) && size % 16 == 0 && (groups == 1 || patches * shape.patch % 16 == 0);
  const bool writes_wide = cuda::is_aligned(out) && shape.side * row % kEach == 0 && (groups == 1 || patches * row % kEach == 0);
  const auto kernel = reads_wide ? (writes_wide ? patchify_kernel<T, uint4, kEach> : patchify_kernel<T, uint4, 1>)
                                 : (writes_wide ? patchify_kernel<T, uint8_t, kEach> : patchify_kernel<T, uint8_t, 1>);
  cuda::launch_early(kernel, static_cast<unsigned>(shape.tiles * shape.side * groups), kThreads, static_cast<size_t>(patches * row), stream, tiles,
                     static_cast<T*>(out), blocks, scale);
}

}  // namespace

void patchify_cuda(const uint8_t* tiles, void* out, const PatchifyShape& shape, const ChannelScale& scale, bool is_bf16, cudaStream_t stream) {
  const auto run = is_bf16 ? launch<__nv_bfloat16> : launch<float>;
  run(tiles, out, shape, scale, stream);
}

}  // namespace facellm
