// Products that read W once and do little with it: time is what the memory takes. A block has 16 rows of W, its warps share
// the columns, and each multiplies by tensor cores: 16 rows of W by 8 rows of x, 16 columns at a time. Which columns go
// into one multiplication is the same for both and otherwise free: so a lane loads 16 bytes of a row at once and hands them
// in as the fragments of two. The first loads of W are under way before the kernel before this one has ended.
// Sums in fp32 in an order that follows from the number of columns alone; one rounding, after the bias.
#include "kernels/common/cuda_common.cuh"
#include "kernels/common/instructions.cuh"
#include "kernels/product/few_rows_cuda.h"

namespace facellm {
namespace {

constexpr int kWarps = 8, kThreads = 32 * kWarps;
constexpr int kTile = 16;     // rows of W a block
constexpr int kAhead = 4;     // loads that a lane has under way, of two rows each
constexpr int kStride = 20;   // of partial sums: lanes of a warp store to banks of their own

// kTiles: of 8 rows of x. Gated: the tile's first 8 rows are gates, the others belong to the same outputs.
template <int kTiles, bool kIsGated>
__global__ void __launch_bounds__(kThreads)
    few_rows_product_kernel(const __nv_bfloat16* x, const __nv_bfloat16* weight, const __nv_bfloat16* bias,
                            __nv_bfloat16* out, FewRowsShape s) {
  __shared__ float partial[kWarps][kTiles * 8][kStride];
  constexpr int64_t kOutputs = kIsGated ? 8 : 16;  // of a block
  const int64_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int64_t row = lane / 4, column = lane % 4 * 8;
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * kOutputs;
  // Beyond the last output a row is read that is there, and its sum is not.
  const int64_t last = s.out - 1;
  const int64_t low_row = begin + row < s.out ? begin + row : last;
  const int64_t high_row = kIsGated ? s.out + low_row : (begin + row + 8 < s.out ? begin + row + 8 : last);
  const __nv_bfloat16* const low = weight + low_row * s.in + column;
  const __nv_bfloat16* const high = weight + high_row * s.in + column;
  const int64_t chunks = s.in / kFewRowsMultiple;
  uint4 low_words[kAhead], high_words[kAhead];
  const auto fetch = [&](int64_t first) {
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      const int64_t chunk = first + i * kWarps;
      if (chunk >= chunks) continue;
      low_words[i] = cuda::load_once(low + chunk * kFewRowsMultiple);
      high_words[i] = cuda::load_once(high + chunk * kFewRowsMultiple);
    }
  };
  fetch(warp);
  cuda::let_next_start();
  cuda::wait_for_previous();
  float sums[kTiles][4] = {};
  for (int64_t first = warp; first < chunks; first += kAhead * kWarps) {
    if (first != warp) fetch(first);
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      const int64_t chunk = first + i * kWarps;
      if (chunk >= chunks) continue;
      const uint32_t early[4] = {low_words[i].x, high_words[i].x, low_words[i].y, high_words[i].y};
      const uint32_t late[4] = {low_words[i].z, high_words[i].z, low_words[i].w, high_words[i].w};
#pragma unroll
      for (int t = 0; t < kTiles; ++t) {
        const int64_t x_row = t * 8 + row;
        uint4 words = make_uint4(0, 0, 0, 0);
        if (x_row < s.rows) words = *reinterpret_cast<const uint4*>(x + x_row * s.in + chunk * kFewRowsMultiple + column);
        const uint32_t early_x[2] = {words.x, words.y}, late_x[2] = {words.z, words.w};
        cuda::mma_m16n8k16(sums[t], early, early_x);
        cuda::mma_m16n8k16(sums[t], late, late_x);
      }
    }
  }
  for (int t = 0; t < kTiles; ++t) {
    for (int i = 0; i < 4; ++i) partial[warp][t * 8 + lane % 4 * 2 + i % 2][row + i / 2 * 8] = sums[t][i];
  }
  __syncthreads();
  const auto sum_of = [&](int64_t x_row, int64_t tile_row) {
    float sum = 0.f;
    for (int w = 0; w < kWarps; ++w) sum += partial[w][x_row][tile_row];
    return sum;
  };
  for (int64_t i = threadIdx.x; i < s.rows * kOutputs; i += kThreads) {
    const int64_t x_row = i / kOutputs, tile_row = i % kOutputs, output = begin + tile_row;
    if (output >= s.out) continue;
    float value = sum_of(x_row, tile_row);
    if constexpr (kIsGated) {
      const float gate = cuda::round_to<__nv_bfloat16>(value);
      const float up = cuda::round_to<__nv_bfloat16>(sum_of(x_row, tile_row + 8));
      value = cuda::round_to<__nv_bfloat16>(gate / (1.f + expf(-gate))) * up;
    } else if (bias != nullptr) {
      value += cuda::load(bias + output);
    }
    cuda::store(out + x_row * s.out + output, value);
  }
}

template <int kTiles, bool kIsGated>
void launch(const void* x, const void* weight, const void* bias, void* out, const FewRowsShape& s, cudaStream_t stream) {
  constexpr int64_t kOutputs = kIsGated ? 8 : 16;
  static_assert(kTile == 16 && kMostFewRows == 16);
  cuda::launch_early(few_rows_product_kernel<kTiles, kIsGated>, static_cast<unsigned>((s.out + kOutputs - 1) / kOutputs),
                     kThreads, 0, stream, static_cast<const __nv_bfloat16*>(x), static_cast<const __nv_bfloat16*>(weight),
                     static_cast<const __nv_bfloat16*>(bias), static_cast<__nv_bfloat16*>(out), s);
}

}  // namespace

void few_rows_cuda(const void* x, const void* weight, const void* bias, void* out, const FewRowsShape& shape,
                           cudaStream_t stream) {
  const auto run = shape.rows <= 8 ? (shape.is_gated ? launch<1, true> : launch<1, false>)
                                   : (shape.is_gated ? launch<2, true> : launch<2, false>);
  run(x, weight, bias, out, shape, stream);
}

}  // namespace facellm
