// Regions of memory, and for each place in them what happened to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace cuda_on_cpu {

enum class Space { kGlobal, kDynamicShared, kStaticShared };

// The last of one kind of access. Of several that nothing orders the number is kSeveral, with the warp if it is one.
struct Touch {
  static constexpr uint32_t kNobody = 0, kSeveral = 1u << 31, kSeveralWarps = kSeveral | 0xffff;
  uint32_t who = kNobody;  // thread + 1
  uint32_t barriers = 0, moment = 0;
  uint32_t code = 0;
};

// What happened to a unit of memory in this block, and in other blocks of this launch.
struct Cell {
  uint32_t block_serial = 0, launch_serial = 0;
  Touch read, write, atomic;
  int64_t other_block = -1;  // the last other block of the launch
  uint32_t other_code = 0;
  bool was_read = false, was_written = false, was_atomic = false;  // by other blocks
  bool is_arriving = false;                                        // an asynchronous copy is under way
};

struct Region {
  uintptr_t begin = 0, end = 0;
  std::string name{};
  Space space = Space::kGlobal;
  // Bytes of a cell: as many as the accesses so far allow. The first one that is smaller splits all cells.
  size_t unit = 16;
  std::vector<std::unique_ptr<Cell[]>> chunks{};  // of cells, made when they are touched
  bool is_used = false;

  Cell& cell(size_t index);
  void refine(size_t smaller);
};

// null: no region holds the address.
Region* find_region(uintptr_t p);
// Where an address lies that no region holds, in words.
std::string surroundings(uintptr_t p);

// Shared memory of the launch that begins; all of it is uninitialised in each block.
void enter_shared(const void* dynamic, size_t bytes);
void leave_shared();

}  // namespace cuda_on_cpu
