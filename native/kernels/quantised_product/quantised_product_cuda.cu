// Products of up to 64 rows with packed weights, which are read once: W8A16 and W4A16. A block of threads has a block of 32 rows
// of W, its warps share the columns, a step of packed_codes.cuh at a time, and multiply by tensor cores: 32 rows of W by 8
// rows of x. The first loads of W are under way before the kernel before this one has ended.
// Codes are multiplied as they are, which bf16 holds, and the sums, fp32, by the scales: of int4 the sum of every step, of int8
// and fp8 the sum of all. nf4 is multiplied as its weights rounded to bf16. The order of sums follows from the number of columns,
// of outputs beside the card's multiprocessors, from being gated and, beyond 16 rows, from being so many.
#include "kernels/common/packed_codes.cuh"
#include "kernels/quantised_product/quantised_product_cuda.h"

namespace facellm {
namespace {

constexpr int kStride = 36;  // of partial sums: what lanes store at once lies in banks of their own

// kTiles: of 8 rows of x. kIsDeep: for products of few blocks, which need more bytes under way in each: more warps, and a step's codes are
// asked for as soon as those before them in their place have been used. Of many blocks others read meanwhile, and both cost (docs/gpu.md).
template <WeightForm kForm, int kTiles, bool kIsGated, bool kIsDeep>
struct Plan {
  static constexpr int kWarps = (kTiles <= 2 ? 8 : 4) * (kIsDeep ? 2 : 1), kThreads = 32 * kWarps;
  static constexpr int kSharers = kIsGated ? kWarps / 2 : kWarps;  // of a block of W: half the warps have the gates' block
  static constexpr int kAhead = kTiles <= 2 ? 4 : 2;               // steps whose codes a lane has under way
  static constexpr bool kScalesEach = cuda::kHasNibbles<kForm>;
  // Of many rows two warps' sums are added before there is room for the others'.
  static constexpr bool kIsFolded = kTiles > 2 && kIsDeep;
  static constexpr int kPlaces = kIsFolded ? kSharers / 2 : kSharers;
  static constexpr int kBlocks = kIsDeep || kTiles > 2 ? 1 : 2;  // at once on a multiprocessor, at least: registers enough
};

template <WeightForm kForm, int kTiles, bool kIsGated, bool kIsDeep>
__global__ void __launch_bounds__(Plan<kForm, kTiles, kIsGated, kIsDeep>::kThreads, Plan<kForm, kTiles, kIsGated, kIsDeep>::kBlocks)
    quantised_product_kernel(const __nv_bfloat16* x, const uint8_t* blocks, const __nv_bfloat16* bias, __nv_bfloat16* out,
                             QuantisedProductShape s, cuda::CodeValues nf4_values) {
  using P = Plan<kForm, kTiles, kIsGated, kIsDeep>;
  constexpr int kColumns = cuda::kColumns<kForm>, kStepColumns = cuda::kStepColumns<kForm>, kPairs = kColumns / 2;
  constexpr int kHalves = kIsGated ? 2 : 1;
  __shared__ __align__(16) float partial[kHalves * P::kPlaces][kTiles * 8][kStride];
  __shared__ float nf4[16];
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int g = lane / 4, c = lane % 4;
  cuda::share_code_values<kForm>(nf4_values, nf4);
  const int half = warp / P::kSharers, sharer = warp % P::kSharers;  // half 1: of the ups
  const uint8_t* const block = blocks + (static_cast<int64_t>(blockIdx.x) + half * static_cast<int64_t>(gridDim.x)) * s.block_bytes;
  const uint8_t* const own_codes = block + c * 128 + g * 16;
  const cuda::Int4Records records(s.group);
  const int steps = static_cast<int>(s.in) / kStepColumns;
  uint4 words[P::kAhead];
  float scales[P::kAhead][4];
  const auto fetch = [&](int i, int step) {
    words[i] = cuda::load_once(cuda::codes_at<kForm>(own_codes, step, records));
    if constexpr (P::kScalesEach) cuda::load_scales<kForm>(cuda::scales_at<kForm>(block, step, records), g, scales[i]);
  };
#pragma unroll
  for (int i = 0; i < P::kAhead; ++i) {
    if (sharer + i * P::kSharers < steps) fetch(i, sharer + i * P::kSharers);
  }
  // What this thread ends with: row threadIdx.x % 32 of each half, for some rows of x.
  const int64_t output = static_cast<int64_t>(blockIdx.x) * 32 + lane;
  float own_scales[2] = {1.f, 1.f};
  if constexpr (!P::kScalesEach) {
#pragma unroll
    for (int h = 0; h < kHalves; ++h) {
      const uint8_t* const of_half = blocks + (static_cast<int64_t>(blockIdx.x) + h * static_cast<int64_t>(gridDim.x)) * s.block_bytes;
      own_scales[h] = reinterpret_cast<const float*>(of_half)[lane];
    }
  }
  const float own_bias = bias != nullptr && output < s.out ? cuda::load(bias + output) : 0.f;
  cuda::let_next_start();
  cuda::wait_for_previous();
  float sums[kTiles][2][4] = {};
  for (int first = sharer; first < steps; first += P::kAhead * P::kSharers) {
    if (!kIsDeep && first != sharer) {
#pragma unroll
      for (int i = 0; i < P::kAhead; ++i) {
        if (first + i * P::kSharers < steps) fetch(i, first + i * P::kSharers);
      }
    }
#pragma unroll
    for (int i = 0; i < P::kAhead; ++i) {
      const int step = first + i * P::kSharers, next = step + P::kAhead * P::kSharers;
      if (step >= steps) continue;
      const uint32_t own[4] = {words[i].x, words[i].y, words[i].z, words[i].w};
      uint32_t pairs[4][kPairs];
      float step_scales[4] = {1.f, 1.f, 1.f, 1.f};
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        if constexpr (P::kScalesEach) step_scales[j] = scales[i][j];
        cuda::codes_to_pairs<kForm>(own[j], nf4, step_scales[j], pairs[j]);
      }
      if (kIsDeep && next < steps) fetch(i, next);
#pragma unroll
      for (int t = 0; t < kTiles; ++t) {
        const int x_row = t * 8 + g;
        uint32_t of_x[kPairs] = {};
        if (x_row < s.rows) {
          const __nv_bfloat16* const at = x + x_row * s.in + step * kStepColumns + c * kColumns;
          if constexpr (kPairs == 4) {
            const uint4 eight = *reinterpret_cast<const uint4*>(at);
            of_x[0] = eight.x;
            of_x[1] = eight.y;
            of_x[2] = eight.z;
            of_x[3] = eight.w;
          } else {
            const uint2 four = *reinterpret_cast<const uint2*>(at);
            of_x[0] = four.x;
            of_x[1] = four.y;
          }
        }
        float step_sums[2][4] = {};
#pragma unroll
        for (int m = 0; m < 2; ++m) {
          auto& into = kForm == WeightForm::kInt4 ? step_sums[m] : sums[t][m];
#pragma unroll
          for (int p = 0; p < kPairs; p += 2) {
            const uint32_t of_w[4] = {pairs[2 * m][p], pairs[2 * m + 1][p], pairs[2 * m][p + 1], pairs[2 * m + 1][p + 1]};
            const uint32_t columns[2] = {of_x[p], of_x[p + 1]};
            cuda::mma_m16n8k16(into, of_w, columns);
          }
          if constexpr (kForm == WeightForm::kInt4) {
#pragma unroll
            for (int e = 0; e < 4; ++e) sums[t][m][e] += step_scales[2 * m + e / 2] * step_sums[m][e];
          }
        }
      }
    }
  }
  // Rows 4 g .. 4 g + 3 of W by a row of x, as a lane has them.
  const auto place_of = [&](int place, int t, int column) {
    return reinterpret_cast<float4*>(&partial[half * P::kPlaces + place][t * 8 + 2 * c + column][4 * g]);
  };
  const auto put = [&](int place) {
#pragma unroll
    for (int t = 0; t < kTiles; ++t) {
#pragma unroll
      for (int column = 0; column < 2; ++column) {
        *place_of(place, t, column) =
            make_float4(sums[t][0][column], sums[t][0][2 + column], sums[t][1][column], sums[t][1][2 + column]);
      }
    }
  };
  if constexpr (P::kIsFolded) {
    if (sharer >= P::kPlaces) put(sharer - P::kPlaces);
    __syncthreads();
    if (sharer < P::kPlaces) {
#pragma unroll
      for (int t = 0; t < kTiles; ++t) {
#pragma unroll
        for (int column = 0; column < 2; ++column) {
          const float4 other = *place_of(sharer, t, column);
          sums[t][0][column] += other.x;
          sums[t][0][2 + column] += other.y;
          sums[t][1][column] += other.z;
          sums[t][1][2 + column] += other.w;
        }
      }
      put(sharer);  // where this lane alone has read
    }
  } else {
    put(sharer);
  }
  __syncthreads();
  // The sum of one half's warps, times the row's scale where it has one.
  const auto sum_of = [&](int h, int64_t x_row) {
    float sum = 0.f;
    for (int w = 0; w < P::kPlaces; ++w) sum += partial[h * P::kPlaces + w][x_row][lane];
    return sum * own_scales[h];
  };
  if (output >= s.out) return;
  for (int64_t x_row = warp; x_row < s.rows; x_row += P::kWarps) {
    float value = sum_of(0, x_row);
    if constexpr (kIsGated) {
      const float gate = cuda::round_to<__nv_bfloat16>(value), up = cuda::round_to<__nv_bfloat16>(sum_of(1, x_row));
      value = cuda::round_to<__nv_bfloat16>(gate / (1.f + expf(-gate))) * up;
    } else if (bias != nullptr) {
      value += own_bias;
    }
    cuda::store(out + x_row * s.out + output, value);
  }
}

template <WeightForm kForm, int kTiles, bool kIsGated, bool kIsDeep>
void launch(const void* x, const void* blocks, const void* bias, void* out, const QuantisedProductShape& s, cudaStream_t stream) {
  const auto nf4 = cuda::nf4_values();
  cuda::launch_early(quantised_product_kernel<kForm, kTiles, kIsGated, kIsDeep>, static_cast<unsigned>((s.out + 31) / 32),
                     Plan<kForm, kTiles, kIsGated, kIsDeep>::kThreads, 0, stream, static_cast<const __nv_bfloat16*>(x),
                     static_cast<const uint8_t*>(blocks), static_cast<const __nv_bfloat16*>(bias),
                     static_cast<__nv_bfloat16*>(out), s, nf4);
}

template <WeightForm kForm, bool kIsGated>
auto launcher_for(const QuantisedProductShape& s) {
  const bool is_deep = (s.out + 31) / 32 < 2 * cuda::multiprocessors();
  if (s.rows <= 8) return is_deep ? launch<kForm, 1, kIsGated, true> : launch<kForm, 1, kIsGated, false>;
  if (s.rows <= 16) return is_deep ? launch<kForm, 2, kIsGated, true> : launch<kForm, 2, kIsGated, false>;
  if (s.rows <= 32) return is_deep ? launch<kForm, 4, kIsGated, true> : launch<kForm, 4, kIsGated, false>;
  return is_deep ? launch<kForm, 8, kIsGated, true> : launch<kForm, 8, kIsGated, false>;
}

template <WeightForm kForm>
auto launcher_of(const QuantisedProductShape& s) {
  return s.is_gated ? launcher_for<kForm, true>(s) : launcher_for<kForm, false>(s);
}

auto launcher_of(WeightForm form, const QuantisedProductShape& s) {
  switch (form) {
    case WeightForm::kInt8: return launcher_of<WeightForm::kInt8>(s);
    case WeightForm::kInt4: return launcher_of<WeightForm::kInt4>(s);
    case WeightForm::kFp8: return launcher_of<WeightForm::kFp8>(s);
    default: return launcher_of<WeightForm::kNf4>(s);
  }
}

}  // namespace

void quantised_product_cuda(WeightForm form, const void* x, const void* blocks, const void* bias, void* out,
                            const QuantisedProductShape& shape, cudaStream_t stream) {
  launcher_of(form, shape)(x, blocks, bias, out, shape, stream);
}

}  // namespace facellm
