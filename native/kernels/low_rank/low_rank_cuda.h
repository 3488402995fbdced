// Raw-pointer launcher; see low_rank.h. A and the rows of x aligned to 16 bytes, `in` and x's stride multiples of 8.
#pragma once

#include <cstdint>

typedef struct CUstream_st* cudaStream_t;

namespace facellm {

constexpr int64_t kMostLowRankRows = 64;   // of a group; more are libtorch's, which multiplies by tensor cores
constexpr int64_t kMostLowRanks = 512;     // of a group, its parts together
constexpr int64_t kMostLowRankParts = 32;  // of a group, and of the groups of a launch together
constexpr int64_t kMostLowRankGroups = 8;  // of a launch; what is more is launches more
constexpr int64_t kLowRankMultiple = 8;

// Threads of a block that share the columns of x A^T, eight each at a time: the order of a sum follows from them. All do so as often, or
// once less.
constexpr int64_t low_rank_threads(int64_t in) {
  const int64_t eights = in / 8, times = (eights + 511) / 512;
  return ((eights + times - 1) / times + 31) / 32 * 32;
}

// Columns [begin, begin + count) of out.
struct LowRankCudaPart {
  const void* b;      // [count, rank], rows `b_stride` apart
  const float* gain;  // [count] or null
  int64_t begin, count, rank, b_stride;
  float scaling;
};

// Rows [begin, begin + count) of x, out and u; none empty, no rank zero.
struct LowRankCudaGroup {
  const void* a;  // [ranks, in], contiguous
  int64_t begin, count, ranks;
  const LowRankCudaPart* parts;
  int64_t part_count;
};

struct LowRankCuda {
  const void* x;     // [rows, in]
  void* u;           // [rows, u_stride]: x A^T, of each group as many columns as it has ranks
  void* out;         // [rows, out_size]
  const void* bias;  // [out_size] or null
  int64_t x_stride, u_stride, out_stride;
  int64_t in, out_size;
  const LowRankCudaGroup* groups;
  int64_t group_count;
};

void low_rank_cuda(const LowRankCuda& work, bool is_bf16, cudaStream_t stream);

}  // namespace facellm
