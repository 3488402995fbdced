// Low-rank additions of several stacks: two kernels for all groups of a layer, whatever they are. Little is read and less is computed, so
// time is how long one waits for memory: the first sums of a layer and the last are split among as many threads as there are loads, and
// matrices, which are the adapters' own, are under way before the kernel before has ended. What a launch is about comes with it, by
// value: nothing is uploaded, and a graph may hold it.
// Sums are fp32 in an order that follows from the number of columns and ranks alone: a row's bits from nothing but that row.
#include "kernels/common/eights.cuh"
#include "kernels/common/instructions.cuh"
#include "kernels/low_rank/low_rank_cuda.h"
#include "kernels/low_rank/low_rank_project.cuh"

namespace facellm {
namespace {

constexpr int kColumns = 32 * kRows;  // and threads, of a block of the second kernel: a warp a row of u
constexpr int kAhead = 4;             // eights of B that a thread has under way

// A column of out and kRows rows of it a thread, under all parts that have it, one after another.
template <typename T>
__global__ void __launch_bounds__(kColumns)
    low_rank_expand_kernel(const T* u, T* out, const T* bias, const __grid_constant__ PartPointers matrices,
                           const __grid_constant__ Groups groups, const __grid_constant__ Parts parts, int out_size, int64_t u_stride,
                           int64_t out_stride) {
  __shared__ __align__(16) float shared_u[kMostLowRanks][kRows];
  const Tile tile = tile_of(groups, static_cast<int>(blockIdx.y));
  const int parts_begin = groups.groups[tile.group].parts_begin, parts_end = groups.groups[tile.group].parts_end;
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int block_begin = static_cast<int>(blockIdx.x) * kColumns, column = block_begin + static_cast<int>(threadIdx.x);
  const auto has = [&](int p, int c) { return c >= parts.parts[p].begin && c < parts.parts[p].begin + parts.parts[p].count; };
  const auto row_of_b = [&](int p) {
    return static_cast<const T*>(matrices.pointers[2 * p]) + static_cast<int64_t>(column - parts.parts[p].begin) * parts.parts[p].b_stride;
  };
  const auto load = [&](int p, int rank, cuda::Eight<T>& into) {
    if (parts.parts[p].is_whole) {
      cuda::load_eight(row_of_b(p) + rank, into);
    } else {
      cuda::load_some(row_of_b(p) + rank, parts.parts[p].rank - rank, into);
    }
  };
  cuda::Eight<T> of_b[kAhead];
  const auto fetch = [&](int p) {
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      if (8 * i < parts.parts[p].rank) load(p, 8 * i, of_b[i]);
    }
  };
  // The ranks that this block's columns have to do with, and this column's first part.
  int ranks_begin = static_cast<int>(kMostLowRanks), ranks_end = 0, first_part = parts_end;
  for (int p = parts_begin; p < parts_end; ++p) {
    const Part& part = parts.parts[p];
    if (part.begin >= block_begin + kColumns || part.begin + part.count <= block_begin) continue;
    if (part.first < ranks_begin) ranks_begin = part.first;
    if (part.first + part.rank > ranks_end) ranks_end = part.first + part.rank;
    if (first_part == parts_end && has(p, column)) first_part = p;
  }
  if (first_part != parts_end) fetch(first_part);
  cuda::let_next_start();
  cuda::wait_for_previous();
  T* const own_out = out + tile.begin * out_stride + column;
  float own[kRows];
#pragma unroll
  for (int r = 0; r < kRows; ++r) own[r] = first_part != parts_end && r < tile.rows ? cuda::load(own_out + r * out_stride) : 0.f;
  for (int j = ranks_begin + lane; j < ranks_end; j += 32) {
    shared_u[j][warp] = warp < tile.rows ? cuda::load(u + (tile.begin + warp) * u_stride + j) : 0.f;
  }
  __syncthreads();
  for (int p = first_part; p < parts_end; ++p) {
    if (!has(p, column)) continue;
    if (p != first_part) fetch(p);
    const Part& part = parts.parts[p];
    float sums[kRows] = {};
    const auto add = [&](const cuda::Eight<T>& eight, int begin) {
      float wide[8];
      cuda::widen(eight, wide);
#pragma unroll
      for (int k = 0; k < 8; ++k) {
        if (begin + k >= part.rank) continue;
        const float4 of_u = *reinterpret_cast<const float4*>(shared_u[part.first + begin + k]);
        sums[0] = __fmaf_rn(of_u.x, wide[k], sums[0]);
        sums[1] = __fmaf_rn(of_u.y, wide[k], sums[1]);
        sums[2] = __fmaf_rn(of_u.z, wide[k], sums[2]);
        sums[3] = __fmaf_rn(of_u.w, wide[k], sums[3]);
      }
    };
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      if (8 * i < part.rank) add(of_b[i], 8 * i);
    }
    for (int begin = 8 * kAhead; begin < part.rank; begin += 8) {
      cuda::Eight<T> eight;
      load(p, begin, eight);
      add(eight, begin);
    }
    const float* const gains = static_cast<const float*>(matrices.pointers[2 * p + 1]);
    const float gain = gains != nullptr ? gains[column - part.begin] : 1.f;
    const float shift = gains != nullptr && bias != nullptr ? cuda::load(bias + column) : 0.f;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const float sum = __fmaf_rn(sums[r], part.scaling, own[r] - shift);
      own[r] = cuda::round_to<T>(gains != nullptr ? __fmaf_rn(sum, gain, shift) : sum);
    }
  }
  if (first_part == parts_end) return;
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    if (r < tile.rows) cuda::store(own_out + r * out_stride, own[r]);
  }
}

// As many groups as a launch holds, from `first` on; returns the first that it does not.
template <typename T>
int64_t launch_some(const LowRankCuda& work, int64_t first, cudaStream_t stream) {
  static_assert(kRows == 4 && low_rank_threads(1 << 20) <= kMostProjectThreads);
  Groups groups{};
  Parts parts{};
  GroupPointers of_groups{};
  PartPointers of_parts{};
  int64_t group = first, tiles = 0, most_ranks = 0, count = 0;  // count: of parts
  for (; group < work.group_count && group - first < kMostLowRankGroups; ++group) {
    const LowRankCudaGroup& own = work.groups[group];
    if (count + own.part_count > kMostLowRankParts) break;
    groups.groups[group - first] = {static_cast<int>(own.begin), static_cast<int>(own.count), static_cast<int>(own.ranks),
                                    static_cast<int>(count), static_cast<int>(count + own.part_count)};
    of_groups.pointers[group - first] = own.a;
    int first_rank = 0;
    for (int64_t i = 0; i < own.part_count; ++i, ++count) {
      const LowRankCudaPart& part = own.parts[i];
      const bool is_whole = part.rank % 8 == 0 && part.b_stride % 8 == 0 && cuda::is_aligned(part.b);
      parts.parts[count] = {static_cast<int>(part.begin), static_cast<int>(part.count), static_cast<int>(part.rank), first_rank,
                            static_cast<int>(part.b_stride), is_whole, part.scaling};
      of_parts.pointers[2 * count] = part.b;
      of_parts.pointers[2 * count + 1] = part.gain;
      first_rank += static_cast<int>(part.rank);
    }
    tiles += (own.count + kRows - 1) / kRows;
    most_ranks = own.ranks > most_ranks ? own.ranks : most_ranks;
  }
  const auto along = [](int64_t size, int64_t piece) { return static_cast<unsigned>((size + piece - 1) / piece); };
  const auto rows = static_cast<unsigned>(tiles);
  cuda::launch_early(low_rank_project_kernel<T>, dim3(along(most_ranks, kRanks), rows), static_cast<unsigned>(low_rank_threads(work.in)), 0,
                     stream, static_cast<const T*>(work.x), static_cast<T*>(work.u), of_groups, groups, static_cast<int>(work.in),
                     work.x_stride, work.u_stride);
  cuda::launch_early(low_rank_expand_kernel<T>, dim3(along(work.out_size, kColumns), rows), kColumns, 0, stream,
                     static_cast<const T*>(work.u), static_cast<T*>(work.out), static_cast<const T*>(work.bias), of_parts, groups, parts,
                     static_cast<int>(work.out_size), work.u_stride, work.out_stride);
  return group;
}

}  // namespace

void low_rank_cuda(const LowRankCuda& work, bool is_bf16, cudaStream_t stream) {
  const auto run = is_bf16 ? launch_some<__nv_bfloat16> : launch_some<float>;
  for (int64_t group = 0; group < work.group_count;) group = run(work, group, stream);
}

}  // namespace facellm
