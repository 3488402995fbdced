// What both kernels of low-rank additions are told of a launch: groups of rows, the parts of what is added to them, and which rows a block has.
#pragma once

#include "kernels/common/cuda_common.cuh"
#include "kernels/low_rank/low_rank_cuda.h"

namespace facellm {
namespace {

constexpr int kRows = 4;  // of a group at once: what is loaded of a matrix serves so many
constexpr int kGroups = static_cast<int>(kMostLowRankGroups), kParts = static_cast<int>(kMostLowRankParts);

struct Group {
  int begin, count, ranks, parts_begin, parts_end;
};
struct Part {
  int begin, count, rank, first;  // of the group's ranks
  int b_stride;
  int is_whole;  // B's rows are whole eights, aligned
  float scaling;
};
// What kernels are told of a launch's groups and parts; their pointers lie in arrays that hold nothing else, so that tests can tell
// what is the device's.
struct Groups {
  Group groups[kGroups];
};
struct Parts {
  Part parts[kParts];
};
struct GroupPointers {
  const void* pointers[kGroups];  // A
};
struct PartPointers {
  const void* pointers[2 * kParts];  // B and gain of each
};

// Up to kRows rows of one group.
struct Tile {
  int group, begin, rows;
};

__device__ __forceinline__ Tile tile_of(const Groups& all, int tile) {
  int group = 0;
  for (; tile >= (all.groups[group].count + kRows - 1) / kRows; ++group) tile -= (all.groups[group].count + kRows - 1) / kRows;
  const int first = tile * kRows, left = all.groups[group].count - first;
  return {group, all.groups[group].begin + first, left < kRows ? left : kRows};
}

}  // namespace
}  // namespace facellm
