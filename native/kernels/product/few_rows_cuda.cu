// Products that read W once and do little with it: time is what the memory takes. A block has 16 rows of W, its warps share
// the columns, and each multiplies by tensor cores: 16 rows of W by 8 rows of x, 16 columns at a time. Which columns go
// into one multiplication is the same for both and otherwise free: so a lane loads 16 bytes of a row at once and hands them
// in as the fragments of two. The first loads of W are under way before the kernel before this one has ended, and those of a block's
// next rows while it ends with these.
// Sums in fp32 in an order that follows from the number of columns and from how W is read; one rounding, after the bias.
// Small steps of a model are a chain of kernels that wait for each other, some microseconds each: so what stands before a product, the
// norm of its rows, and behind qkv, rotation and cache, is done here, each block for itself.
#include "kernels/common/instructions.cuh"
#include "kernels/common/norm_rows.cuh"
#include "kernels/common/rotate_pair.cuh"
#include "kernels/product/few_rows_cuda.h"

namespace facellm {
namespace {

using Bf16 = __nv_bfloat16;

constexpr int kStride = 20;  // of partial sums: lanes of a warp store to banks of their own

template <int kTiles, FewRowsOutputs kOutputs, bool kHasNorm>
struct Plan {
  static constexpr bool kIsNarrow = kOutputs == FewRowsOutputs::kNarrow;
  static constexpr int kWarps = kIsNarrow ? 16 : 8, kThreads = 32 * kWarps;
  static constexpr int kAhead = kIsNarrow ? 5 : 4;  // loads that a lane has under way, of two rows each
  // On a multiprocessor, at least: as many as registers allow without spilling.
  static constexpr int kBlocksAtOnce = kIsNarrow ? 1 : kHasNorm || kTiles > 1 ? 2 : 3;
  static constexpr int64_t kOutputsABlock = kOutputs == FewRowsOutputs::kPlain ? 16 : 8;  // of kRotary: pairs
};

// Of 16 rows of W the first that a lane reads, and the second, as an offset in elements; and where a block's outputs begin.
struct Rows {
  int64_t begin, low, high_offset;
};

template <FewRowsOutputs kOutputs>
__device__ __forceinline__ Rows rows_of(const FewRows& work, int64_t block, int64_t row) {
  const auto& s = work.shape;
  const int64_t last = s.out - 1;
  if constexpr (kOutputs == FewRowsOutputs::kRotary) {
    const int64_t half = work.rotary.shape.head_dim / 2, parts = half / 8;
    const int64_t begin = block / parts * 2 * half + block % parts * 8;
    return {begin, begin + row, half * s.in};
  }
  // Beyond the last output a row is read that is there, and its sum is not.
  const int64_t begin = block * (kOutputs == FewRowsOutputs::kPlain ? 16 : 8), low = begin + row < s.out ? begin + row : last;
  if constexpr (kOutputs == FewRowsOutputs::kGated) return {begin, low, s.out * s.in};
  if constexpr (kOutputs == FewRowsOutputs::kNarrow) return {begin, low, s.in / 2};
  const int64_t high = begin + row + 8 < s.out ? begin + row + 8 : last;
  return {begin, low, (high - low) * s.in};
}

// Pair i of a head, whose sums these are: to q, or into the pool. A slot outside the pool is not written (rope_kv_append_cuda.cu).
__device__ __forceinline__ void put_pair(const FewRowsRotary& to, int64_t token, int64_t output, float low, float high) {
  const auto& s = to.shape;
  const int64_t half = s.head_dim / 2, head = output / s.head_dim, i = output % s.head_dim;
  const bool is_query = head < s.heads, is_value = head >= s.heads + s.kv_heads;
  Bf16* out = static_cast<Bf16*>(to.q) + (head * s.tokens + token) * s.head_dim;
  if (!is_query) {
    const int64_t slot = to.slots[token];
    if (slot < 0 || slot >= s.slots) return;
    const PoolStrides strides = is_value ? s.values : s.keys;
    out = static_cast<Bf16*>(is_value ? to.values : to.keys) + (head - s.heads - (is_value ? s.kv_heads : 0)) * strides.head +
          slot * strides.slot;
  }
  cuda::Pair pair{low, high};
  if (!is_value) {
    const Bf16* const cos = static_cast<const Bf16*>(to.cos) + token * s.head_dim + i;
    const Bf16* const sin = static_cast<const Bf16*>(to.sin) + token * s.head_dim + i;
    pair = cuda::rotate_pair<Bf16>(low, high, cuda::load(cos), cuda::load(sin), cuda::load(cos + half), cuda::load(sin + half));
  }
  cuda::store(out + i, pair.low);
  cuda::store(out + i + half, pair.high);
}

// kTiles: of 8 rows of x. Pointers come one by one, so that tests can tell what is the device's.
template <int kTiles, FewRowsOutputs kOutputs, bool kHasNorm>
__global__ void __launch_bounds__(Plan<kTiles, kOutputs, kHasNorm>::kThreads, Plan<kTiles, kOutputs, kHasNorm>::kBlocksAtOnce)
    few_rows_product_kernel(FewRowsShape shape, const Bf16* own_x, const Bf16* weight, const Bf16* own_bias, Bf16* own_out, const Bf16* residual,
                            const Bf16* delta, const Bf16* norm_weight, Bf16* sum, float eps, const Bf16* cos, const Bf16* sin,
                            const int64_t* slots, Bf16* q, Bf16* keys, Bf16* values, RopeKvAppendShape heads, int64_t blocks) {
  using P = Plan<kTiles, kOutputs, kHasNorm>;
  const FewRows work{own_x, weight, own_bias, own_out, shape, {residual, delta, norm_weight, sum, eps}, {cos, sin, slots, q, keys, values, heads}};
  __shared__ float partial[P::kWarps][kTiles * 8][kStride];
  const auto& s = work.shape;
  const int64_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int64_t row = lane / 4, column = lane % 4 * 8;
  const int64_t chunks = s.in / kFewRowsMultiple / (P::kIsNarrow ? 2 : 1);
  uint4 low_words[P::kAhead], high_words[P::kAhead];
  const auto fetch = [&](const Rows& rows, int64_t first) {
    const Bf16* const low = static_cast<const Bf16*>(work.weight) + rows.low * s.in + column;
    const Bf16* const high = low + rows.high_offset;
#pragma unroll
    for (int i = 0; i < P::kAhead; ++i) {
      const int64_t chunk = first + i * P::kWarps;
      if (chunk >= chunks) continue;
      low_words[i] = cuda::load_once(low + chunk * kFewRowsMultiple);
      high_words[i] = cuda::load_once(high + chunk * kFewRowsMultiple);
    }
  };
  Rows rows = rows_of<kOutputs>(work, blockIdx.x, row);
  fetch(rows, warp);
  cuda::let_next_start();
  cuda::wait_for_previous();
  const Bf16* x = static_cast<const Bf16*>(work.x);
  int64_t x_stride = s.in;
  if constexpr (kHasNorm) {
    const auto& norm = work.norm;
    Bf16* const shared = cuda::dynamic_shared<Bf16>();
    x_stride = s.in + (s.in % 64 == 0 ? 32 : 0);  // rows that are read at once lie in banks of their own
    for (int64_t r = warp; r < s.rows; r += P::kWarps) {
      cuda::normalise_row(static_cast<const Bf16*>(norm.residual) + r * s.in,
                          norm.delta == nullptr ? nullptr : static_cast<const Bf16*>(norm.delta) + r * s.in,
                          static_cast<const Bf16*>(norm.weight),
                          blockIdx.x == 0 && norm.sum != nullptr ? static_cast<Bf16*>(norm.sum) + r * s.in : nullptr,
                          shared + r * x_stride, static_cast<int>(s.in), norm.eps, static_cast<int>(lane));
    }
    __syncthreads();
    x = shared;
  }
  for (int64_t block = blockIdx.x; block < blocks; block += gridDim.x) {
    float sums[kTiles][4] = {};
    for (int64_t first = warp; first < chunks; first += P::kAhead * P::kWarps) {
      if (first != warp) fetch(rows, first);
#pragma unroll
      for (int i = 0; i < P::kAhead; ++i) {
        const int64_t chunk = first + i * P::kWarps;
        if (chunk >= chunks) continue;
        const uint4 a = low_words[i], b = high_words[i];
#pragma unroll
        for (int t = 0; t < kTiles; ++t) {
          const int64_t x_row = t * 8 + row;
          const Bf16* const at = x + x_row * x_stride + chunk * kFewRowsMultiple + column;
          uint4 words = make_uint4(0, 0, 0, 0);
          if (x_row < s.rows) words = *reinterpret_cast<const uint4*>(at);
          const uint32_t early_x[2] = {words.x, words.y}, late_x[2] = {words.z, words.w};
          if constexpr (P::kIsNarrow) {
            // The same rows twice, each half with columns, and so with x, of its own.
            uint4 others = make_uint4(0, 0, 0, 0);
            if (x_row < s.rows) others = *reinterpret_cast<const uint4*>(at + s.in / 2);
            const uint32_t early[4] = {a.x, 0, a.y, 0}, late[4] = {a.z, 0, a.w, 0};
            const uint32_t early_half[4] = {0, b.x, 0, b.y}, late_half[4] = {0, b.z, 0, b.w};
            const uint32_t early_others[2] = {others.x, others.y}, late_others[2] = {others.z, others.w};
            cuda::mma_m16n8k16(sums[t], early, early_x);
            cuda::mma_m16n8k16(sums[t], late, late_x);
            cuda::mma_m16n8k16(sums[t], early_half, early_others);
            cuda::mma_m16n8k16(sums[t], late_half, late_others);
          } else {
            const uint32_t early[4] = {a.x, b.x, a.y, b.y}, late[4] = {a.z, b.z, a.w, b.w};
            cuda::mma_m16n8k16(sums[t], early, early_x);
            cuda::mma_m16n8k16(sums[t], late, late_x);
          }
        }
      }
    }
    for (int t = 0; t < kTiles; ++t) {
      for (int i = 0; i < 4; ++i) partial[warp][t * 8 + lane % 4 * 2 + i % 2][row + i / 2 * 8] = sums[t][i];
    }
    const int64_t begin = rows.begin, next = block + gridDim.x;
    if (next < blocks) {
      rows = rows_of<kOutputs>(work, next, row);
      fetch(rows, warp);
    }
    __syncthreads();
    const Bf16* const bias = static_cast<const Bf16*>(work.bias);
    Bf16* const out = static_cast<Bf16*>(work.out);
    const auto sum_of = [&](int64_t x_row, int64_t tile_row) {
      float sum = 0.f;
      for (int w = 0; w < P::kWarps; ++w) sum += partial[w][x_row][tile_row];
      return sum;
    };
    for (int64_t i = threadIdx.x; i < s.rows * P::kOutputsABlock; i += P::kThreads) {
      const int64_t x_row = i / P::kOutputsABlock, tile_row = i % P::kOutputsABlock, output = begin + tile_row;
      if (output >= s.out) continue;
      float value = sum_of(x_row, tile_row);
      if constexpr (kOutputs == FewRowsOutputs::kRotary) {
        const int64_t other = output + work.rotary.shape.head_dim / 2;
        float high_value = sum_of(x_row, tile_row + 8);
        if (bias != nullptr) {
          value += cuda::load(bias + output);
          high_value += cuda::load(bias + other);
        }
        put_pair(work.rotary, x_row, output, cuda::round_to<Bf16>(value), cuda::round_to<Bf16>(high_value));
        continue;
      }
      if constexpr (kOutputs == FewRowsOutputs::kGated) {
        const float gate = cuda::round_to<Bf16>(value), up = cuda::round_to<Bf16>(sum_of(x_row, tile_row + 8));
        value = cuda::round_to<Bf16>(gate / (1.f + expf(-gate))) * up;
      } else {
        if constexpr (P::kIsNarrow) value += sum_of(x_row, tile_row + 8);
        if (bias != nullptr) value += cuda::load(bias + output);
      }
      cuda::store(out + x_row * s.out + output, value);
    }
    __syncthreads();  // before the next rows' sums
  }
}

template <int kTiles, FewRowsOutputs kOutputs, bool kHasNorm>
void launch(const FewRows& work, cudaStream_t stream) {
  static_assert(kMostFewRows == 16 && kMostNormedRows == 8);
  using P = Plan<kTiles, kOutputs, kHasNorm>;
  constexpr int64_t kPer = P::kOutputsABlock * (kOutputs == FewRowsOutputs::kRotary ? 2 : 1);
  const auto& s = work.shape;
  const auto shared = kHasNorm ? static_cast<size_t>(s.rows * (s.in + 32)) * sizeof(Bf16) : 0;
  // Where each block of threads normalises for itself there are no more than run at once, which have several blocks of rows.
  const int64_t blocks = (s.out + kPer - 1) / kPer, most = kHasNorm ? P::kBlocksAtOnce * cuda::multiprocessors() : blocks;
  const auto in = [](const void* p) { return static_cast<const Bf16*>(p); };
  const auto out = [](void* p) { return static_cast<Bf16*>(p); };
  const auto& [residual, delta, norm_weight, sum, eps] = work.norm;
  const auto& [cos, sin, slots, q, keys, values, heads] = work.rotary;
  cuda::launch_early(few_rows_product_kernel<kTiles, kOutputs, kHasNorm>, static_cast<unsigned>(blocks < most ? blocks : most),
                     P::kThreads, shared, stream, s, in(work.x), in(work.weight), in(work.bias), out(work.out), in(residual),
                     in(delta), in(norm_weight), out(sum), eps, in(cos), in(sin), slots, out(q), out(keys), out(values), heads, blocks);
}

template <FewRowsOutputs kOutputs>
void launch_rows(const FewRows& work, cudaStream_t stream) {
  work.shape.rows <= 8 ? launch<1, kOutputs, false>(work, stream) : launch<2, kOutputs, false>(work, stream);
}

}  // namespace

void few_rows_cuda(const FewRows& work, cudaStream_t stream) {
  const bool has_norm = work.norm.residual != nullptr;
  switch (work.shape.outputs) {
    case FewRowsOutputs::kPlain: return launch_rows<FewRowsOutputs::kPlain>(work, stream);
    case FewRowsOutputs::kNarrow: return launch_rows<FewRowsOutputs::kNarrow>(work, stream);
    case FewRowsOutputs::kRotary: return launch<1, FewRowsOutputs::kRotary, true>(work, stream);
    case FewRowsOutputs::kGated:
      return has_norm ? launch<1, FewRowsOutputs::kGated, true>(work, stream) : launch_rows<FewRowsOutputs::kGated>(work, stream);
  }
}

}  // namespace facellm
